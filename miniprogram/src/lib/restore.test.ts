import { describe, expect, it } from 'vitest'

import type { Order } from '@/api/types'

import { restorable, restored } from './restore'

describe('restorable', () => {
  it('is an order that waits for it', () => {
    const order = { action: 'restore', label: '待恢复' } as Order
    expect(restorable(order)).toBe(order)
  })

  it('is one that was restored', () => {
    const order = { business: 'resume', status: 'completed', label: '已完成' } as Order
    expect(restorable(order)).toBe(order)
    expect(restored(order)).toBe(true)
  })

  it('says where another one stands', () => {
    expect(() => restorable({ action: '', label: '已完成' } as Order)).toThrow('订单当前为「已完成」，不能恢复证书')
  })
})
