import { describe, expect, it, vi } from 'vitest'

import type { Order } from '@/api/types'

const get = vi.fn()
vi.mock('@/api', () => ({ api: { get } }))
vi.mock('./ui', () => ({ open: vi.fn() }))

const { offered, placedAfterAll } = await import('./order')

describe('offered', () => {
  const cases: [name: string, order: Partial<Order>, want: boolean][] = [
    ['to pay', { action: 'pay' }, true],
    ['to pay, its certificate is frozen', { action: 'pay', obstacle: '证书已冻结，请先恢复' }, false],
    ['to unlock, its certificate is revoked', { action: 'unlock', obstacle: '证书已注销' }, false],
    ['to correct, its certificate is frozen', { action: 'fix', obstacle: '证书已冻结，请先恢复' }, true],
    ['only to follow', { action: 'track' }, false],
    ['nothing to do', {}, false],
  ]
  it.each(cases)('%s', (_, order, want) => expect(offered(order as Order)).toBe(want))
})

describe('a submission that failed', () => {
  const failure = new Error('offline')

  it('was placed all the same: only the answer was lost', async () => {
    get.mockResolvedValue({ id: 'O1', status: 'awaiting_payment' })
    expect(await placedAfterAll(failure, 'O1', 'draft')).toEqual({ order: { id: 'O1', status: 'awaiting_payment' } })
    expect(get).toHaveBeenCalledWith('/orders/O1')
  })

  it('was refused', async () => {
    get.mockResolvedValue({ id: 'O1', status: 'draft' })
    await expect(placedAfterAll(failure, 'O1', 'draft')).rejects.toBe(failure)
  })

  it('did not get through, nor does the question', async () => {
    get.mockRejectedValue(new Error('offline, too'))
    await expect(placedAfterAll(failure, 'O1', 'draft')).rejects.toBe(failure)
  })
})
