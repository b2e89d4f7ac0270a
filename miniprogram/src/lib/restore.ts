import { Failure } from '@/api/client'
import type { Order } from '@/api/types'

/** Whether the freeze was taken back; the answer to that may have been lost. */
export function restored(order: Order): boolean {
  return order.business === 'resume' && order.status === 'completed'
}

/** The order, if its freeze can be taken back now, or was: a link to it outlives that. */
export function restorable(order: Order): Order {
  if (order.action !== 'restore' && !restored(order)) {
    throw new Failure('refused', `订单当前为「${order.label}」，不能恢复证书，请返回订单查看`)
  }
  return order
}
