import { beforeEach, describe, expect, it, vi } from 'vitest'

import { Failure } from '@/api/client'

const get = vi.fn()
const post = vi.fn()
const openPDF = vi.fn()
vi.mock('@/api', () => ({ api: { get, post } }))
vi.mock('@/platform', () => ({ platform: { openPDF } }))
vi.mock('./ui', () => ({ attempt: async (what: () => Promise<unknown>) => what() }))

const { download, invoiceOf, toneOfInvoice } = await import('./invoice')

beforeEach(() => {
  vi.resetAllMocks()
})

describe('an invoice', () => {
  it('has a colour for every state', () => {
    expect(['issuing', 'issued', 'failed', 'red_issuing', 'red_failed', 'reversed', undefined].map((s) => toneOfInvoice(s))).toEqual(['warn', 'good', 'bad', 'warn', 'bad', '', ''])
  })

  it('is shown by a link of its own, without the token', async () => {
    post.mockResolvedValue({ url: 'https://ca.example.cn/invoices/file/x' })
    await download({ order: 'O1', number: '26530000000000000001' } as never)
    expect(post).toHaveBeenCalledWith('/orders/O1/invoice/link')
    expect(openPDF).toHaveBeenCalledWith('https://ca.example.cn/invoices/file/x', '', '电子发票-26530000000000000001.pdf')
  })

  it('is nothing where an order has none, and any other failure is one', async () => {
    get.mockRejectedValueOnce(new Failure('refused', '没有', { code: 'invoice_not_found' } as never))
    expect(await invoiceOf('O1')).toBeUndefined()
    get.mockRejectedValueOnce(new Failure('offline', '网络不通'))
    await expect(invoiceOf('O1')).rejects.toThrow('网络不通')
  })
})
