import { describe, expect, it } from 'vitest'

import type { Certificate, Opening, Problem } from '@/api/types'

import { faultsOf, lamps, latest, registers, reminded } from './opening'

const at = (at: string) => ({ at }) as Opening
const problem = (code: string, detail: string) => ({ status: 422, code, detail }) as Problem

describe('a refusal', () => {
  it.each([
    ['project_too_long', { project: '不行' }],
    ['names_no_number_required', { project: '不行' }],
    ['opening_not_ahead', { opening: '不行' }],
    ['bad_moment', { opening: '不行' }],
    ['too_many_openings', undefined],
  ])('%s is said where it belongs', (code, faults) => {
    expect(faultsOf(problem(code, '不行'))).toEqual(faults)
  })

  it('without a problem is about no field', () => {
    expect(faultsOf()).toBeUndefined()
  })
})

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
