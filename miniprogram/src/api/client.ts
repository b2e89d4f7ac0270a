import type { Login, Problem } from './types'

/** What came back from the server. */
export interface Answer {
  status: number
  body: unknown
}

export interface Transport {
  send(method: 'GET' | 'POST', path: string, token: string, body?: unknown): Promise<Answer>
  upload(path: string, token: string, file: string, texts?: Record<string, string>): Promise<Answer>
}

/** Keeps the token between two starts. */
export interface TokenStore {
  read(): string
  write(token: string): void
}

/** Why a call did not work, in words for people. */
export class Failure extends Error {
  constructor(
    readonly kind: 'offline' | 'login' | 'refused' | 'broken',
    message: string,
    readonly problem?: Problem,
  ) {
    super(message)
  }
}

/** A WeChat user who has no mobile yet; bind is the ticket to add one. */
export class NeedsPhone extends Failure {
  constructor(readonly bind: string) {
    super('login', '请先登录')
  }
}

const offline = '网络不通，请检查网络后重试'
const truncated = '链接不完整，请返回首页，从「订单」或「证书」中打开'
const broken = '系统出了点问题，请稍后重试，或联系客服 400-666-3999'

/** Reads an answer, or says what is wrong. */
export function read<T>(answer: Answer): T {
  if (answer.status >= 200 && answer.status < 300) {
    return answer.body as T
  }
  const problem = (typeof answer.body === 'object' && answer.body !== null ? answer.body : {}) as Problem
  if (answer.status >= 500 || !problem.code) {
    throw new Failure('broken', problem.code && problem.detail ? problem.detail : broken, problem)
  }
  throw new Failure(answer.status === 401 ? 'login' : 'refused', problem.detail ?? broken, problem)
}

/**
 * The API. It logs in by itself: with a code of WeChat before the first call, and
 * once more when the server does not know the token any longer.
 */
export class Client {
  private renewing?: Promise<void>

  constructor(
    private readonly transport: Transport,
    private readonly tokens: TokenStore,
    private readonly loginCode: () => Promise<string>,
    private readonly onLogin: (login: Login) => void = () => {},
  ) {}

  /** The token, for what is not called through here. */
  get token(): string {
    return this.tokens.read()
  }

  async get<T>(path: string): Promise<T> {
    if (/\/(?:[/?]|$)/.test(path)) {
      throw new Failure('refused', truncated) // the page was opened without the id of what it shows
    }
    return read<T>(await this.withToken((token) => this.transport.send('GET', path, token)))
  }

  async post<T>(path: string, body: unknown = {}): Promise<T> {
    return read<T>(await this.withToken((token) => this.transport.send('POST', path, token, body)))
  }

  /** Uploads a file; texts go with it. */
  async upload<T>(path: string, file: string, texts?: Record<string, string>): Promise<T> {
    return read<T>(await this.withToken((token) => this.transport.upload(path, token, file, texts)))
  }

  /** For what everybody may know, or the address itself or a token of its own allows. */
  async open<T>(method: 'GET' | 'POST', path: string, body?: unknown, token = ''): Promise<T> {
    return read<T>(await this.reach(() => this.transport.send(method, path, token, body)))
  }

  /** An upload like that; texts go with the file. */
  async openUpload<T>(path: string, file: string, texts?: Record<string, string>, token = ''): Promise<T> {
    return read<T>(await this.reach(() => this.transport.upload(path, token, file, texts)))
  }

  /** Takes the token of a login that was finished by hand. */
  accept(login: Login): void {
    this.tokens.write(login.token ?? '')
    this.onLogin(login)
  }

  /** Logs in; NeedsPhone when this WeChat user has no mobile yet. */
  login(): Promise<void> {
    this.renewing ??= this.renew().finally(() => {
      this.renewing = undefined
    })
    return this.renewing
  }

  /** A ticket to choose another mobile. */
  async switch(): Promise<string> {
    const login = await this.open<Login>('POST', '/login', { code: await this.reach(this.loginCode), switch: true })
    return login.bind ?? ''
  }

  async logout(): Promise<void> {
    const token = this.tokens.read()
    this.tokens.write('')
    if (token !== '') {
      await this.reach(() => this.transport.send('POST', '/logout', token, {}))
    }
  }

  /** Ends what ties this WeChat user to a mobile. */
  async unbind(): Promise<true> {
    await this.post('/me/unbind', {})
    this.tokens.write('')
    return true
  }

  private async renew(): Promise<void> {
    this.tokens.write('')
    const login = await this.open<Login>('POST', '/login', { code: await this.reach(this.loginCode) })
    if (!login.token) {
      throw new NeedsPhone(login.bind ?? '')
    }
    this.accept(login)
  }

  private async withToken(call: (token: string) => Promise<Answer>): Promise<Answer> {
    if (this.tokens.read() === '') {
      await this.login()
    }
    const used = this.tokens.read()
    const answer = await this.reach(() => call(used))
    if (answer.status !== 401) {
      return answer
    }
    if (this.tokens.read() === used || this.renewing) {
      await this.login()
    }
    return this.reach(() => call(this.tokens.read()))
  }

  private async reach<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch {
      throw new Failure('offline', offline)
    }
  }
}
