import type { Subscriptions } from '@/api/types'

/** What a subscription message tells of. */
export type Notice = keyof Subscriptions['notices']

/** What an invitation stands on; ask is missing where there are no such messages. */
export interface Means {
  ask?: (templates: string[]) => Promise<Record<string, string>>
  load(): Promise<Subscriptions>
  report(answers: Record<string, string>): Promise<unknown>
  read(key: string): unknown
  write(key: string, until: number): void
  now(): number
}

const day = 24 * 3600 * 1000

/** How long nobody is asked again; a yes pays for one message, so the next order asks again. */
const rests = { later: 7 * day, no: 30 * day }

/**
 * The invitation to one kind of message: a card says what for, and only who taps
 * it sees WeChat's own dialog. It is never in the way: whatever goes wrong, there
 * is no card and no word about it.
 */
export class Invitation {
  private template = ''

  constructor(
    private readonly notice: Notice,
    private readonly means: Means,
  ) {}

  /** Whether there is something to ask, and nobody has said "not now". */
  async open(): Promise<boolean> {
    if (!this.means.ask || this.resting()) {
      return false
    }
    try {
      this.template = (await this.means.load()).notices[this.notice] ?? ''
    } catch {
      return false
    }
    return this.template !== ''
  }

  /** Not now. */
  later(): void {
    this.rest(rests.later)
  }

  /**
   * Shows WeChat's dialog and tells the server what was answered; whether it was a
   * yes. WeChat wants it in the handler of the tap: nothing is awaited before it.
   */
  async ask(): Promise<boolean> {
    const { ask } = this.means
    if (!ask || this.template === '') {
      return false
    }
    try {
      const answer = (await ask([this.template]))[this.template]
      if (answer === undefined) {
        this.rest(rests.later)
        return false
      }
      if (answer !== 'accept') {
        this.rest(rests.no)
      }
      await this.means.report({ [this.template]: answer })
      return answer === 'accept'
    } catch {
      this.rest(rests.later) // switched off in WeChat, or no network: another day
      return false
    }
  }

  private get key(): string {
    return 'subscribe:' + this.notice
  }

  private resting(): boolean {
    const until = this.means.read(this.key)
    return typeof until === 'number' && this.means.now() < until
  }

  private rest(time: number): void {
    this.means.write(this.key, this.means.now() + time)
  }
}

/** The page that follows a submission; that of the order is told, so that it invites to its messages. */
export function sentTo(page: string): string {
  return page.startsWith('/pages/order/index?') ? page + '&sent=yes' : page
}
