import { Failure } from '@/api/client'
import type { Order } from '@/api/types'

/** The order, if its freeze can be taken back now: a link to it outlives that. */
export function restorable(order: Order): Order {
  if (order.action !== 'restore') {
    throw new Failure('refused', `订单当前为「${order.label}」，不能恢复证书，请返回订单查看`)
  }
  return order
}
