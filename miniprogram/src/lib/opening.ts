import type { Certificate, Opening, Problem } from '@/api/types'

import { moment } from './text'

/** What somebody types to register an opening; opening is as 2026-12-20T09:30, in China. */
export interface Typed {
  project: string
  opening: string
}

/** A lamp says what it means without its colour, too. */
export const lamps: Record<Opening['light'], { mark: string; label: string }> = {
  green: { mark: '✓', label: '绿灯' },
  yellow: { mark: '!', label: '黄灯' },
  red: { mark: '✕', label: '红灯' },
}

/** The field that a refusal is about. */
const fields: Record<string, keyof Typed> = {
  project_too_long: 'project',
  names_no_number_required: 'project',
  opening_not_ahead: 'opening',
  bad_moment: 'opening',
}

/** What is said beside the fields; undefined for a refusal that is about none of them. */
export function faultsOf(problem?: Problem): Partial<Typed> | undefined {
  const field = fields[problem?.code ?? '']
  return field && { [field]: problem?.detail }
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
