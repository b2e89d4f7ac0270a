import { api } from '@/api'
import type { Invoice } from '@/api/types'
import { platform } from '@/platform'

import { Failure } from '@/api/client'
import { once } from './once'
import { attempt } from './ui'

/** The colour of an invoice's state. */
export function toneOfInvoice(state?: string): '' | 'good' | 'bad' | 'warn' {
  switch (state) {
    case 'issued':
      return 'good'
    case 'failed':
    case 'red_failed':
      return 'bad'
    case 'issuing':
    case 'red_issuing':
      return 'warn'
    default:
      return ''
  }
}

/** Shows the PDF of an invoice, by a link that lives for a few minutes. */
export const download = once((i: Invoice) =>
  attempt(async () => {
    const link = await api.post<{ url: string }>(`/orders/${i.order}/invoice/link`)
    await platform.openPDF(link.url, '', `电子发票-${i.number}.pdf`)
  }, '正在下载'),
)

/** The invoice of an order, or what one would be; undefined where there can be none. */
export async function invoiceOf(order: string): Promise<Invoice | undefined> {
  try {
    return await api.get<Invoice>(`/orders/${order}/invoice`)
  } catch (e) {
    if (e instanceof Failure && e.problem?.code === 'invoice_not_found') {
      return undefined
    }
    throw e
  }
}
