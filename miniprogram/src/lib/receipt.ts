import { api } from '@/api'
import type { Receipt, Receipts } from '@/api/types'
import { platform } from '@/platform'

import { once } from './once'
import { attempt } from './ui'

/** The progress receipts of an order, and whether one more can be issued. */
export function receiptsOf(order: string): Promise<Receipts> {
  return api.get<Receipts>(`/orders/${order}/receipts`)
}

/** Shows the PDF of a receipt, by a link that lives for a few minutes. */
export const showReceipt = once((order: string, id: string) =>
  attempt(async () => {
    const link = await api.post<{ url: string }>(`/orders/${order}/receipts/${id}/link`)
    await platform.openPDF(link.url, '', '办理进度凭证.pdf')
  }, '正在下载'),
)

/** Issues a receipt and shows it; false when there is none. */
export async function issueReceipt(order: string): Promise<boolean> {
  const r = await attempt(() => api.post<Receipt>(`/orders/${order}/receipts`), '正在出具')
  if (r) {
    await showReceipt(order, r.id)
  }
  return Boolean(r)
}

/** Withdraws a receipt; what holds then, or undefined when it did not work. */
export function withdrawReceipt(order: string, id: string): Promise<Receipts | undefined> {
  return attempt(() => api.post<Receipts>(`/orders/${order}/receipts/${id}/withdraw`))
}
