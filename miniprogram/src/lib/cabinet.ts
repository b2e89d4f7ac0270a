import type { Cabinet, Foreign, Loan } from '@/api/types'

/** A USBKEY of the cabinet (钥匙柜), of ours or of another CA. */
export interface Token {
  id: string
  name: string
  days: number
  facts: { label: string; value: string }[]
  foreign?: Foreign
  /** Who has it, while it is out. */
  loan?: Loan
}

/** 2027-05-31 → 2027/05/31 (F98) */
const slashed = (day: string) => day.replace(/-/g, '/')

/** What is known of each USBKEY: what is out first, the longest due first, then whatever ends next. */
export function tokensOf(c: Cabinet): Token[] {
  const all: Token[] = [
    ...c.ours.map((o) => ({
      id: o.token,
      name: o.holder,
      days: o.days_left,
      facts: [
        { label: 'UKEY 序列号', value: o.token },
        { label: '到期日', value: slashed(o.ends) },
      ],
    })),
    ...c.foreign.map((f) => ({
      id: f.id,
      name: f.label,
      days: f.days_left,
      facts: [
        { label: '发证机构', value: f.issuer },
        { label: '证书主体', value: f.holder ?? '' },
        { label: '序列号', value: f.number ?? '' },
        { label: '到期日', value: slashed(f.ends) },
      ].filter((fact) => fact.value !== ''),
      foreign: f,
    })),
  ]
  const place = (t: Token) => c.out.findIndex((l) => l.token === t.id)
  for (const t of all) {
    t.loan = c.out[place(t)]
  }
  const rank = (t: Token) => (t.loan ? place(t) : c.out.length)
  return all.sort((a, b) => rank(a) - rank(b) || a.days - b.days)
}

/** Who had a USBKEY, in one line: 王小琪（工程部） */
export function borrowerOf(l: Loan): string {
  return l.borrower + (l.department ? `（${l.department}）` : '')
}
