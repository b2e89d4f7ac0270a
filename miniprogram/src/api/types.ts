// The answers of /api/v1 as this client uses them (GET /openapi.json tells all).

/** RFC 9457. */
export interface Problem {
  status: number
  code: string
  detail?: string
  fields?: { field: string; detail: string }[]
}

export interface Me {
  mobile: string
  staff: boolean
}

export interface Login {
  token?: string
  bind?: string
  me?: Me
}

export interface Order {
  id: string
  no: string
  business: string
  product: string
  company: string
  status: string
  label: string
  what: string
  next?: string
  action?: string
  action_label?: string
  amount_fen: number
  within: string
  express_fee_fen?: number
  express?: string
  quantity: number
  reasons?: { text: string; field?: string }[]
  steps?: { label: string; done: boolean; current: boolean }[]
  deletable?: boolean
  closable?: boolean
  delivery_changeable?: boolean
  authorization?: { state: string; label: string; mobile?: string; sent_at?: string; until: string; waiting?: boolean; left: number; paper?: boolean; email_needed?: boolean }
  obstacle?: string
  give_up?: { keys: number; left: number; amount_fen: number; note: string }
  tracking?: { carrier: string; no: string; shipped_at: string; state: string; label: string; track?: { at: string; text: string }[] }
  created_at: string
  placed_at?: string
  timeline?: { at: string; event: string; label: string; role: string }[]
}

export interface Orders {
  orders: Order[]
  next?: string
}

export interface Option {
  value: string
  label: string
}

export interface Picture {
  ref: string
  url: string
  large: string
  warnings?: string[]
}

export interface Field {
  name: string
  input: 'text' | 'tel' | 'email' | 'select' | 'radio' | 'image' | 'switch' | 'date' | 'datetime-local'
  label: string
  hint?: string
  value: string
  fault?: string
  /** What is odd about the value; it blocks nothing. */
  doubt?: string
  /** What was probably meant by a wrong value: to be offered. */
  suggestion?: string
  reason?: string
  required: boolean
  locked?: boolean
  max: number
  options?: Option[]
  redraw?: boolean
  picture?: Picture
}

export interface Group {
  id: string
  label: string
  fields: Field[]
}

export interface Line {
  seal: string
  label: string
  seals?: Option[]
  quantity: number
  amount_fen: number
}

export interface Form {
  order: Order
  /** 认证类型 */
  verification: string
  fixing?: boolean
  groups: Group[]
  lines: Line[]
  terms: Option[]
  term: number
  free_seals?: Option[]
  max_keys: number
  line_fault?: string
  complete: boolean
  needs_code?: boolean
  fixed?: boolean
  about?: { serial: string; token_serial: string; holder: string; not_after: string }
  bid?: { text: string; wait?: boolean }
}

/** To whom a submitted order goes. */
export interface Delivery {
  order: Order
  group: Group
  saved?: boolean
}

export interface Product {
  code: string
  name: string
  project: string
  price_fen: number
  hint?: string
  years: number[]
}

export interface Agreements {
  version: string
  hash: string
  texts: { name: string; title: string; version: string; html: string }[]
}

export interface Summary {
  order: Order
  groups: Group[]
  lines: Line[]
  mobile: string
  term?: number
  /** Says what was shown, price and promise included; the confirmation sends it back. */
  offer: string
  verification: string
}

export interface Placed {
  order: Order
  token?: string
}

export interface PaymentRequest {
  timeStamp: string
  nonceStr: string
  package: string
  signType: 'RSA'
  paySign: string
}

export interface Paying {
  state: 'unpaid' | 'failed' | 'expired' | 'paid'
  request?: PaymentRequest
  order: Order
}

/** A business that a certificate can have now. */
export interface Offer {
  business: string
  label: string
  order?: Order
  products?: Option[]
}

export interface Invoice {
  id?: string
  order: string
  order_no?: string
  state?: 'issuing' | 'issued' | 'failed' | 'red_issuing' | 'red_failed' | 'reversed'
  label?: string
  what?: string
  why?: string
  amount_fen: number
  kind: string
  title: string
  tax_no: string
  number?: string
  issued_at?: string
  can_ask?: boolean
  can_correct?: boolean
  can_download?: boolean
}

export interface Invoices {
  invoices: Invoice[]
  next?: string
}

/** A progress receipt that holds; its code is on the PDF only. */
export interface Receipt {
  id: string
  state: string
  since: string
  issued_at: string
  expires_at: string
}

export interface Receipts {
  receipts: Receipt[]
  can_issue: boolean
}

export interface Messages {
  messages: { id: string; at: string; title: string; text: string; tail?: string; order: string }[]
  next?: string
}

/** An opening of bids that is ahead, with what stands in its way. */
export interface Opening {
  id: string
  project: string
  at: string
  /** 12月3日 09:30 开标（还有 9 天） */
  when: string
  light: 'green' | 'yellow' | 'red'
  says: string
}

export interface Certificate {
  serial: string
  token_serial: string
  holder: string
  mobile: string
  not_before: string
  not_after: string
  state: 'valid' | 'frozen' | 'revoked' | 'expired'
  label: string
  days_left: number
  can_freeze: boolean
  can_revoke: boolean
  /** What else on its USBKEY is frozen or revoked with it. */
  freeze_also?: string
  revoke_also?: string
  can_rebind: boolean
  test?: boolean
  note?: string
  offers?: Offer[]
  openings?: Opening[]
  /** Who has its USBKEY. */
  loan?: Loan
  /** What cannot be decrypted once it is frozen or revoked, with all that goes the same way. */
  freeze_openings?: Opening[]
  revoke_openings?: Opening[]
  /** likewise when the reason is keyCompromise */
  stolen_openings?: Opening[]
}

export interface Certificates {
  certificates: Certificate[]
  reasons: Option[]
  /** What to ask before a certificate is revoked. */
  bid: { question: string; answers: Option[] }
}

/** A line of the log of a USBKEY; light and says while it is out. */
export interface Loan {
  id: string
  token: string
  borrower: string
  department?: string
  purpose: string
  lent_at: string
  due: string
  returned_at?: string
  light?: 'yellow' | 'red'
  says?: string
}

export interface Loans {
  loans: Loan[]
  next?: string
}

/** A USBKEY of another CA, as its person typed it. */
export interface Foreign {
  id: string
  label: string
  issuer: string
  holder?: string
  number?: string
  ends: string
  days_left: number
}

export interface Cabinet {
  ours: { token: string; holder: string; ends: string; days_left: number }[]
  foreign: Foreign[]
  /** What is not back, the longest due first. */
  out: Loan[]
}

export interface Scan {
  state: 'scanned' | 'confirmed' | 'cancelled'
  device: string
  mobile: string
}

export interface Photo {
  label: string
  done: boolean
  warnings?: string[]
}

export interface Task {
  id: string
  title: string
  tail: string
  company: string
  quantity: number
  stage: string
  express?: string
  again?: boolean
  since: string
  due?: string
  overdue?: boolean
  mine?: boolean
  path: string
}

export interface Desks {
  desks: { label: string; tasks: Task[]; more?: boolean; path: string }[]
}

/** A request to a legal representative, in his list. */
export interface Asked {
  ticket: string
  company: string
  product: string
  agent: string
  label: string
  waiting: boolean
  asked_at: string
  until?: string
}

export interface Fact {
  label: string
  value: string
  mono?: boolean
}

/** An authorisation before the mobile is proven. */
export interface Legal {
  company: string
  agent: string
  mobile: string
  step: 'identity' | 'application' | 'done'
  reused?: boolean
  facts: Fact[]
  document_label: string
  photographed?: boolean
  face?: boolean
  decline_reasons: Option[]
}

export interface Letter {
  title: string
  paragraphs: string[]
  scope: string
  scopes: (Option & { chosen: boolean })[]
  wait_seconds: number
  consent: string
  mobile: string
}

export interface Signed {
  receipt: string
  signed_at: string
  company: string
  agent: string
  no: string
  reused?: boolean
  ready: boolean
  can_withdraw: boolean
  kept?: string
  lapsed?: boolean
  mandate_until?: string
}

/** Which messages this WeChat user can allow: the template of each kind. */
export interface Subscriptions {
  notices: Partial<Record<'order_progress' | 'staff_task', string>>
}
