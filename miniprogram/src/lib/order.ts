import { api } from '@/api'
import type { Order, Placed } from '@/api/types'

import { open } from './ui'

/** The colour of a state's tag. */
export function toneOf(status: string): string {
  switch (status) {
    case 'completed':
      return 'good'
    case 'draft':
    case 'awaiting_payment':
      return 'warn'
    case 'rejected':
      return 'bad'
    default:
      return ''
  }
}

/** Where an order goes on. */
export function pageOf(order: Order): string {
  switch (order.action) {
    case 'continue':
    case 'fix':
      return '/pages/apply/index?id=' + order.id
    case 'pay':
      return '/pages/pay/index?id=' + order.id
    case 'unlock':
      return '/pages/guide/index?of=unlock&id=' + order.id
    case 'restore':
      return '/pages/restore/index?id=' + order.id
    default:
      return '/pages/order/index?id=' + order.id
  }
}

/** What can be filled in whatever has become of the order's certificate. */
const forms = ['continue', 'fix']

/** Whether the order's page offers its next step: nothing but a form while its certificate stands in the way. */
export function offered(order: Order): boolean {
  return !!order.action && order.action !== 'track' && (!order.obstacle || forms.includes(order.action))
}

/**
 * What became of an order whose submission failed: it may have been placed all the
 * same, and only the answer was lost. Otherwise the failure.
 */
export async function placedAfterAll(failure: unknown, id: string, before: string): Promise<Placed> {
  const order = await api.get<Order>('/orders/' + id).catch(() => undefined)
  if (!order || order.status === before) {
    throw failure
  }
  return { order }
}

export function act(order: Order): void {
  open(pageOf(order))
}
