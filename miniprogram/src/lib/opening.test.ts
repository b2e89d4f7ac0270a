import { describe, expect, it } from 'vitest'

import type { Certificate, Opening } from '@/api/types'

import { lamps, latest, registers, reminded } from './opening'

const at = (at: string) => ({ at }) as Opening

it('no two lamps differ by their colour alone', () => {
  expect(new Set(Object.values(lamps).map((l) => l.mark)).size).toBe(3)
})

it.each([
  ['valid', true],
  ['frozen', true],
  ['expired', false],
  ['revoked', false],
])('a certificate that is %s takes openings: %s', (state, can) => {
  expect(registers({ state } as Certificate)).toBe(can)
})

it('the latest is found whatever the order and the time zone, and read in China', () => {
  expect(latest([at('2026-12-20T01:30:00Z'), at('2026-12-21T00:30:00+08:00'), at('2026-12-03T01:00:00Z')])).toBe('2026-12-21T00:30')
})

describe('a reminder', () => {
  const now = Date.parse('2026-12-01T09:59:00+08:00')
  it.each([
    ['2026-12-02T23:00', true],
    ['2026-12-01T23:00', false],
    ['2026-12-03T09:00', true],
  ])('of %s: %s', (opening, is) => {
    expect(reminded(opening, now)).toBe(is)
  })

  it('is over at ten', () => {
    expect(reminded('2026-12-02T23:00', now + 60_000)).toBe(false)
  })
})
