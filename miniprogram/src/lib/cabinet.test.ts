import { describe, expect, it } from 'vitest'

import type { Foreign, Loan } from '@/api/types'

import { borrowerOf, tokensOf } from './cabinet'

const ours = (token: string, days_left: number) => ({ token, holder: '云岭公司', ends: '2027-05-31', days_left })
const foreign = (id: string, days_left: number, more: Partial<Foreign> = {}): Foreign => ({ id, label: '锁', issuer: '某省 CA', ends: '2027-01-02', days_left, ...more })
const loan = (token: string) => ({ id: 'l-' + token, token }) as Loan

describe('the cabinet', () => {
  it.each([
    ['nothing', { ours: [], foreign: [], out: [] }, []],
    ['what ends next first, of whichever CA', { ours: [ours('A', 9), ours('B', 3)], foreign: [foreign('C', 5), foreign('D', -1)], out: [] }, ['D', 'B', 'C', 'A']],
    ['what is out first, the longest due first', { ours: [ours('A', 1), ours('B', 300)], foreign: [foreign('C', 5)], out: [loan('C'), loan('B')] }, ['C', 'B', 'A']],
  ])('%s', (_, cabinet, ids) => {
    expect(tokensOf(cabinet).map((t) => t.id)).toEqual(ids)
  })

  it('says who has what, and only that', () => {
    const [out, back] = tokensOf({ ours: [ours('A', 1)], foreign: [foreign('C', 5)], out: [loan('C'), loan('gone')] })
    expect(out.loan?.id).toBe('l-C')
    expect(back.loan).toBeUndefined()
  })

  it('has no line for what is not known', () => {
    const [short, long] = tokensOf({ ours: [], foreign: [foreign('C', 5), foreign('D', 6, { holder: '云岭公司', number: '0088' })], out: [] })
    expect(short.facts.map((f) => f.label)).toEqual(['发证机构', '到期日'])
    expect(long.facts.map((f) => f.value)).toEqual(['某省 CA', '云岭公司', '0088', '2027/01/02'])
  })
})

it.each([
  ['工程部', '王小琪（工程部）'],
  [undefined, '王小琪'],
])('a borrower of %s', (department, says) => {
  expect(borrowerOf({ borrower: '王小琪', department } as Loan)).toBe(says)
})
