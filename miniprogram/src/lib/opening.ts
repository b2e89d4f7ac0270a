import type { Certificate, Opening } from '@/api/types'

import { moment } from './text'

/** A lamp says what it means without its colour, too. */
export const lamps: Record<Opening['light'], { mark: string; label: string }> = {
  green: { mark: '✓', label: '绿灯' },
  yellow: { mark: '!', label: '黄灯' },
  red: { mark: '✕', label: '红灯' },
}

/** Whether openings can be registered for a certificate. */
export function registers(c: Certificate): boolean {
  return c.state === 'valid' || c.state === 'frozen'
}

/** The last of some openings, as it is typed into a form. */
export function latest(openings: Opening[]): string {
  const last = openings.reduce((a, b) => (Date.parse(b.at) > Date.parse(a.at) ? b : a))
  return moment(last.at).replace(' ', 'T')
}

const day = 24 * 3600 * 1000

/** Whether there is still a reminder before an opening: at ten of the day before, in China. */
export function reminded(opening: string, now: number): boolean {
  return Date.parse(opening.slice(0, 10) + 'T10:00:00+08:00') - day > now
}
