/** Where an address that WeChat scanned leads. */
export interface Target {
  page: 'scan' | 'photo' | 'auth'
  ticket: string
}

const pages: Record<string, Target['page']> = { scan: 'scan', u: 'photo', auth: 'auth' }
const ticket = /^[0-9A-Za-z_-]{20,64}$/

/**
 * Reads the address of a QR code: /scan/TICKET logs a PC in, /u/TICKET takes a
 * photo for it, /auth/TICKET is the legal representative's. The host decides nothing: the ticket is only ever sent to our own
 * server, which knows it or does not.
 */
export function readLink(text: string): Target | undefined {
  const match = /^(?:https?:\/\/[^/?#]+)?\/(scan|u|auth)\/([^/?#]+)$/.exec(text.trim())
  if (!match || !ticket.test(match[2])) {
    return undefined
  }
  return { page: pages[match[1]], ticket: match[2] }
}

/** Where an address that WeChat hands over (q) leads. */
export function scanned(q: string | undefined): Target | undefined {
  return q ? readLink(decode(q)) : undefined
}

/** The ticket of a page's query: from our own pages, or as WeChat hands over a scanned address (q). */
export function ticketOf(query: Record<string, string | undefined>, page: Target['page']): string {
  if (query.ticket) {
    return ticket.test(query.ticket) ? query.ticket : ''
  }
  const target = scanned(query.q)
  return target?.page === page ? target.ticket : ''
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
