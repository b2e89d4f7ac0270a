import type { Failure } from '@/api/client'

/** The calls of the API. */
export interface Caller {
  post<T>(path: string, body?: unknown): Promise<T>
}

interface Wait {
  wait_seconds: number
}

/**
 * A certificate on its way to another mobile: a code of the bound one, then one of
 * the new (F101). What the first has proven holds ten minutes; after that it
 * begins anew.
 */
export class Rebinding {
  step: 'old' | 'new' | 'done' = 'old'
  private proof = ''

  constructor(
    private readonly serial: string,
    private readonly api: Caller,
  ) {}

  /** What the bar on top shows. */
  get steps(): { label: string; done: boolean; current: boolean }[] {
    const order = ['old', 'new', 'done']
    const at = order.indexOf(this.step)
    return ['验证原手机号', '验证新手机号', '完成'].map((label, i) => ({ label, done: i < at || this.step === 'done', current: i === at && this.step !== 'done' }))
  }

  askOld(): Promise<Wait> {
    return this.api.post<Wait>(this.path('/code'))
  }

  async proveOld(code: string): Promise<void> {
    this.proof = (await this.api.post<{ proof: string }>(this.path('/prove'), { code })).proof
    this.step = 'new'
  }

  askNew(mobile: string): Promise<Wait> {
    return this.proven(() => this.api.post<Wait>(this.path('/new/code'), { mobile: mobile.trim(), proof: this.proof }))
  }

  async finish(mobile: string, code: string): Promise<void> {
    await this.proven(() => this.api.post(this.path(''), { mobile: mobile.trim(), code, proof: this.proof }))
    this.step = 'done'
  }

  private path(of: string): string {
    return `/certificates/${this.serial}/rebind${of}`
  }

  /** Back to the first step when its proof counts no longer. */
  private async proven<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (e) {
      if ((e as Failure).problem?.code === 'old_mobile_unproven') {
        this.proof = ''
        this.step = 'old'
      }
      throw e
    }
  }
}
