import { beforeEach, describe, expect, it, vi } from 'vitest'

const get = vi.fn()
const post = vi.fn()
const openPDF = vi.fn()
let failing = false
vi.mock('@/api', () => ({ api: { get, post } }))
vi.mock('@/platform', () => ({ platform: { openPDF } }))
vi.mock('./ui', () => ({ attempt: async (what: () => Promise<unknown>) => (failing ? undefined : what()) }))

const { issueReceipt, receiptsOf, withdrawReceipt } = await import('./receipt')

beforeEach(() => {
  vi.resetAllMocks()
  failing = false
})

describe('a progress receipt', () => {
  it('is issued, and shown by a link of its own, without the token', async () => {
    post.mockResolvedValueOnce({ id: 'R1' }).mockResolvedValueOnce({ url: 'https://ca.example.cn/receipts/file/x' })
    expect(await issueReceipt('O1')).toBe(true)
    expect(post.mock.calls).toEqual([['/orders/O1/receipts'], ['/orders/O1/receipts/R1/link']])
    expect(openPDF).toHaveBeenCalledWith('https://ca.example.cn/receipts/file/x', '', '办理进度凭证.pdf')
  })

  it('is not shown when it could not be issued', async () => {
    failing = true
    expect(await issueReceipt('O1')).toBe(false)
    expect(openPDF).not.toHaveBeenCalled()
  })

  it('is listed and withdrawn', async () => {
    get.mockResolvedValue({ receipts: [], can_issue: true })
    expect((await receiptsOf('O1')).can_issue).toBe(true)
    post.mockResolvedValue({ receipts: [], can_issue: true })
    await withdrawReceipt('O1', 'R1')
    expect(post).toHaveBeenCalledWith('/orders/O1/receipts/R1/withdraw')
  })
})
