import { describe, expect, it, vi } from 'vitest'

import type { Order } from '@/api/types'

import { offered } from './order'

vi.mock('./ui', () => ({ open: vi.fn() }))

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
