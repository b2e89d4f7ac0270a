/** What a holder has to say before a certificate is frozen or revoked. */
export interface Change {
  event: 'freeze' | 'revoke'
  reason: string
  bid: string
  /** When the bids are opened, as 2026-11-23T09:00; it warns, and is not needed. */
  opening: string
  read: boolean
  code: string
}

/** The first thing that is still missing, in the order of the page; empty when all is said. */
export function missing(c: Change): string {
  if (c.event === 'revoke' && !c.reason) {
    return '请选择吊销原因'
  }
  if (c.event === 'revoke' && !c.bid) {
    return '请先回答有没有待开标的投标文件'
  }
  if (!c.read) {
    return '请勾选确认'
  }
  return c.code.length === 6 ? '' : '请填写验证码'
}

/** Whether the SMS code can be asked for: what it is for has been answered (flows 4.7). */
export function answered(c: Change): boolean {
  return c.event === 'freeze' || (c.reason !== '' && c.bid !== '')
}

/** What is sent: a freeze carries no reason and no answer about bids. */
export function body(c: Change): { code: string; reason?: string; bid?: string } {
  return c.event === 'revoke' ? { code: c.code, reason: c.reason, bid: c.bid } : { code: c.code }
}

/** The last question, with what the answer about bids means. */
export function question(c: Change, advice: string): string {
  if (c.event === 'freeze') {
    return '冻结后该 UKEY 立即不能使用。确定冻结吗？'
  }
  return advice + '吊销后不能恢复，UKEY 将不能再用于投标。确定吊销吗？'
}
