import { describe, expect, it } from 'vitest'

import { answered, body, type Change, missing, question } from './change'

const revoke: Change = { event: 'revoke', reason: 'superseded', bid: 'none', opening: '', read: true, code: '123456' }
const advice = '这份投标文件将无法解密。'

describe('a revocation', () => {
  it('asks about open bids before the code', () => {
    expect(answered({ ...revoke, bid: '', code: '' })).toBe(false)
    expect(answered({ ...revoke, reason: '', code: '' })).toBe(false)
    expect(answered({ ...revoke, read: false, code: '' })).toBe(true)
  })

  it('says what is missing, in the order of the page', () => {
    expect(missing({ ...revoke, reason: '', bid: '' })).toContain('吊销原因')
    expect(missing({ ...revoke, bid: '', read: false })).toContain('投标文件')
    expect(missing({ ...revoke, read: false, code: '' })).toContain('勾选')
    expect(missing({ ...revoke, code: '123' })).toContain('验证码')
    expect(missing(revoke)).toBe('')
  })

  it('sends the answer, and tells what it means', () => {
    expect(body({ ...revoke, bid: 'open' })).toEqual({ code: '123456', reason: 'superseded', bid: 'open' })
    expect(question({ ...revoke, bid: 'open' }, advice)).toContain('无法解密')
    expect(question(revoke, '')).not.toContain('无法解密')
  })
})

describe('a freeze', () => {
  const freeze: Change = { event: 'freeze', reason: '', bid: '', opening: '', read: true, code: '123456' }

  it('asks neither for a reason nor about bids', () => {
    expect(answered(freeze)).toBe(true)
    expect(missing(freeze)).toBe('')
    expect(body({ ...freeze, bid: 'none' })).toEqual({ code: '123456' })
    expect(question(freeze, '')).toContain('冻结')
  })
})
