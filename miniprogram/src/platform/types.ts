import type { PaymentRequest } from '@/api/types'

/** What is not the same on every platform. */
export interface Platform {
  /** Keeps the data of two users of one browser apart; empty in WeChat. */
  readonly user: string
  /** Address of the product. */
  readonly base: string
  /** Whether the phone-number button is WeChat's own (open-type) or an ordinary one. */
  readonly nativePhoneButton: boolean
  /** A one-time code that says whose phone this is. */
  loginCode(): Promise<string>
  /** A one-time code of the phone-number button; only where the button is an ordinary one. */
  phoneCode(): Promise<string>
  /** Pays; resolves when WeChat says so, rejects with Cancelled when the user turns back. */
  pay(request: PaymentRequest): Promise<void>
  /** What a QR code says. */
  scan(): Promise<string>
  /** A picture from the camera or the album. */
  picture(): Promise<string>
  /** The file of a certificate, in WeChat from a chat. */
  certificate(): Promise<string>
  /**
   * Shows a PDF; token is the bearer token that it needs, or empty, name what it is called
   * when a browser keeps it. WeChat names it itself. headers go with the question.
   */
  openPDF(url: string, token: string, name: string, headers?: Record<string, string>): Promise<void>
  /**
   * Asks for consent to one message per template, and says what was answered; only
   * where there are such messages, and only right in the handler of a tap.
   */
  subscribe?(templates: string[]): Promise<Record<string, string>>
  /** What was drawn on a canvas, as a data URL. */
  drawing(file: string): Promise<string>
  /** Opens a page of the product that is not the mini-program's. */
  openWeb(path: string): void
  /**
   * Opens a provider's page that the API named. Its address is kept aside, not put
   * into the address of a page of ours, which anybody can write.
   */
  openOutside(address: string): void
  /** What openOutside opens. */
  readonly outside: string
}

/** How the names of certificates end. */
export const certificateFiles = ['cer', 'crt', 'pem', 'der']

/** Somebody changed his mind: nothing to say about it. */
export class Cancelled extends Error {}
