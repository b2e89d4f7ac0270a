import { expect, it } from 'vitest'

import { readLink, ticketOf } from './link'
import { day, grouped, lifeOf, moment, yuan } from './text'

const ticket = 'a'.repeat(43)

it.each([
  [30000, '300.00'],
  [5, '0.05'],
  [0, '0.00'],
  [-100, '-1.00'],
])('yuan(%i) is %s', (fen, want) => expect(yuan(fen)).toBe(want))

it('shows instants in China', () => {
  expect(moment('2026-11-23T15:59:59Z')).toBe('2026-11-23 23:59')
  expect(moment('2026-11-23T16:00:00Z')).toBe('2026-11-24 00:00')
  expect(moment('2026-11-23T23:00:00+08:00')).toBe('2026-11-23 23:00')
  expect(moment('nonsense')).toBe('')
  expect(day('2026-11-23T16:00:00Z')).toBe('2026/11/24')
})

it('groups serials', () => expect(grouped('0A0B0C0D0E')).toBe('0A0B 0C0D 0E'))

it.each([
  [30, '还有 30 天到期', false],
  [29, '还有 29 天到期', true],
  [0, '今天到期', true],
  [-91, '已过期 91 天', true],
])('lifeOf(%i)', (days, text, soon) => expect(lifeOf(days)).toEqual({ text, soon }))

it.each([
  [`https://shop.example/scan/${ticket}`, { page: 'scan', ticket }],
  [` http://127.0.0.1:8080/u/${ticket}\n`, { page: 'photo', ticket }],
  [`https://shop.example/auth/${ticket}`, { page: 'auth', ticket }],
  [`/scan/${ticket}`, { page: 'scan', ticket }],
  [`https://shop.example/scan/${ticket}/confirm`, undefined],
  [`https://shop.example/scan/${ticket}?x=1`, undefined],
  ['https://shop.example/scan/..%2f..%2fme', undefined],
  ['javascript:alert(1)', undefined],
  ['weixin://wxpay/bizpayurl?pr=1', undefined],
  ['', undefined],
])('readLink(%s)', (text, want) => expect(readLink(text)).toEqual(want))

it('finds the ticket of a page', () => {
  expect(ticketOf({ ticket }, 'scan')).toBe(ticket)
  expect(ticketOf({ ticket: '../me' }, 'scan')).toBe('')
  expect(ticketOf({ q: encodeURIComponent(`https://shop.example/u/${ticket}`) }, 'photo')).toBe(ticket)
  expect(ticketOf({ q: encodeURIComponent(`https://shop.example/u/${ticket}`) }, 'scan')).toBe('')
  expect(ticketOf({ q: '%' }, 'scan')).toBe('')
  expect(ticketOf({}, 'scan')).toBe('')
})
