import { Failure } from '@/api/client'
import type { Fact, Legal, Letter, Signed } from '@/api/types'
import { Cancelled } from '@/platform/types'

/** The calls of the API, with a token of their own. */
export interface Caller {
  open<T>(method: 'GET' | 'POST', path: string, body?: unknown, token?: string): Promise<T>
  openUpload<T>(path: string, file: string, texts?: Record<string, string>, token?: string): Promise<T>
}

/** Keeps what the mobile was proven for between two starts. */
export interface Kept {
  read(): string
  write(value: string): void
}

interface Wait {
  wait_seconds: number
}

export type Step = 'welcome' | 'phone' | 'identity' | 'application' | 'letter' | 'sign' | 'done' | 'ended'

const bar: [Step, string][] = [
  ['phone', '验证手机'],
  ['identity', '核对本人'],
  ['application', '核对申请'],
  ['letter', '阅读'],
  ['sign', '签署'],
  ['done', '完成'],
]

/** What is wrong with the signature's page, in its order; empty when all is there. */
export function unsigned(drawn: boolean, agreed: boolean, code: string): string {
  if (!drawn) {
    return '请先在框内手写签名'
  }
  if (!agreed) {
    return '请勾选同意处理签名和证件信息'
  }
  return code.length === 6 ? '' : '请填写 6 位短信验证码'
}

/**
 * The legal representative's way through one authorisation (flows 4.5): the server
 * says where it goes on. What the mobile was proven for holds half an hour, then the
 * mobile is proven anew; an authorisation that has ended explains itself.
 */
export class Authorizing {
  step: Step = 'welcome'
  legal?: Legal
  letter?: Letter
  /** Why there is nothing more to do. */
  ended = ''
  /** Where his face is checked, while it is. */
  facePage = ''
  /** The scope that was chosen: the last day, or nothing. */
  until = ''
  private token = ''
  private readable = 0

  constructor(
    private readonly ticket: string,
    private readonly api: Caller,
    private readonly kept: Kept,
    private readonly now: () => number = () => Date.now(),
  ) {
    const [of, token] = kept.read().split(' ')
    this.token = of === ticket ? (token ?? '') : ''
  }

  /** To a step that needs nothing from the server. */
  go(step: 'welcome' | 'phone' | 'application' | 'letter' | 'sign'): void {
    this.step = step
  }

  /** What the bar on top shows. */
  get steps(): { label: string; done: boolean; current: boolean }[] {
    const at = bar.findIndex(([step]) => step === this.step)
    return bar.map(([, label], i) => ({ label, done: i < at || this.step === 'done', current: i === at && this.step !== 'done' }))
  }

  /** Where the letter is, and the token that opens it. */
  get pdf(): { path: string; token: string } {
    return { path: this.path('/letter.pdf'), token: this.token }
  }

  /** How many seconds the letter has still to be read. */
  get wait(): number {
    return Math.max(0, Math.ceil((this.readable - this.now()) / 1000))
  }

  /** What is asked, and where it goes on. */
  async load(): Promise<Legal | undefined> {
    try {
      this.legal = await this.api.open<Legal>('POST', this.path('/open'))
      this.step = this.token === '' ? 'welcome' : this.legal.step
    } catch (e) {
      if (!this.over(e)) {
        throw e
      }
    }
    return this.legal
  }

  askPhone(mobile: string): Promise<Wait> {
    return this.call<Wait>('POST', '/phone/code', { mobile: mobile.trim() })
  }

  /** Proves the mobile by WeChat's button, or by an SMS code. */
  async prove(proof: { login?: string; phone: string } | { login?: string; mobile: string; code: string }): Promise<void> {
    const { token, step } = await this.call<{ token: string; step: Step }>('POST', '/phone', proof)
    this.remember(token)
    this.step = step
  }

  /** Compares the end of the document's number; with a photo where no provider can tell. */
  async identify(tail: string, photo: string): Promise<void> {
    try {
      const { step } =
        photo === ''
          ? await this.call<{ step: Step }>('POST', '/identity', { tail: tail.trim() })
          : await this.guard(() => this.api.openUpload<{ step: Step }>(this.path('/identity/photo'), photo, { tail: tail.trim() }, this.token))
      this.step = step
    } catch (e) {
      if (this.legal && (e as Failure).problem?.code === 'document_photo_required') {
        this.legal.photographed = true
      }
      throw e
    }
  }

  /** Opens a face check; the token from now on is the one that its result counts for. */
  async startFace(tail: string): Promise<void> {
    const { token, page } = await this.call<{ token: string; page: string }>('POST', '/face', { tail: tail.trim() })
    this.remember(token)
    this.facePage = page
  }

  /** Goes on with the result; after a refusal another check is begun, or the carriers asked. */
  async faceResult(): Promise<void> {
    try {
      this.step = (await this.call<{ step: Step }>('POST', '/face/result')).step
      this.facePage = ''
    } catch (e) {
      if ((e as Failure).problem?.code === 'face_refused') {
        this.facePage = ''
      }
      throw e
    }
  }

  /** Back to the carriers. */
  leaveFace(): void {
    this.facePage = ''
  }

  async application(): Promise<Fact[]> {
    return (await this.call<{ facts: Fact[] }>('GET', '/application')).facts
  }

  /** Opens the letter with that scope; the reading time runs from the first time. */
  async read(until: string): Promise<void> {
    this.letter = await this.call<Letter>('POST', '/letter', { until })
    this.until = until
    this.readable = this.now() + 1000 * this.letter.wait_seconds
    this.step = 'letter'
  }

  askSign(): Promise<Wait> {
    return this.call<Wait>('POST', '/sign/code')
  }

  async sign(signature: string, code: string): Promise<void> {
    this.step = (await this.call<{ step: Step }>('POST', '/sign', { until: this.until, read: true, agreed: true, signature, code })).step
  }

  signed(): Promise<Signed> {
    return this.call<Signed>('GET', '/done')
  }

  async revoke(): Promise<void> {
    await this.call('POST', '/revoke')
  }

  decline(reason: string): Promise<void> {
    return this.end('/decline', { reason })
  }

  giveBack(note: string): Promise<void> {
    return this.end('/return', { note: note.trim() })
  }

  withdraw(): Promise<void> {
    return this.end('/withdraw')
  }

  /** Ends it; what became of it the server says in its own words. */
  private async end(path: string, body?: unknown): Promise<void> {
    await this.call('POST', path, body)
    this.forget()
    await this.load()
  }

  private remember(token: string): void {
    this.token = token
    this.kept.write(this.ticket + ' ' + token)
  }

  private forget(): void {
    this.token = ''
    this.facePage = ''
    this.kept.write('')
  }

  private path(of: string): string {
    return `/authorizations/${this.ticket}${of}`
  }

  private call<T>(method: 'GET' | 'POST', of: string, body?: unknown): Promise<T> {
    return this.guard(() => this.api.open<T>(method, this.path(of), body, this.token))
  }

  /** Goes where a refusal leads: to the mobile, to the end, or to the step whose turn it is. */
  private async guard<T>(what: () => Promise<T>): Promise<T> {
    try {
      return await what()
    } catch (e) {
      const failure = e as Failure
      if (this.over(e)) {
        throw new Cancelled() // the page says it
      }
      if (failure.kind === 'login') {
        this.forget()
        this.step = 'phone'
        throw new Failure('refused', '已超过半小时，请重新验证手机号', failure.problem)
      } else if (failure.problem?.code === 'authorization_not_ready') {
        await this.load()
      }
      throw e
    }
  }

  /** Whether the link leads nowhere any more. */
  private over(e: unknown): boolean {
    const { problem, message } = e as Failure
    const over = ['authorization_link_unknown', 'authorization_link_replaced', 'authorization_declined', 'authorization_returned', 'authorization_withdrawn', 'authorization_expired']
    if (!over.includes(problem?.code ?? '')) {
      return false
    }
    this.forget()
    this.step = 'ended'
    this.ended = message
    return true
  }
}
