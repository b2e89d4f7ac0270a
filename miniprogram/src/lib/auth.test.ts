import { expect, it } from 'vitest'

import { Failure } from '@/api/client'
import { Cancelled } from '@/platform/types'

import { Authorizing, unsigned } from './auth'

/** A server that answers so, by the end of the path; a function may change its mind. */
function server(answers: Record<string, unknown>) {
  const calls: [string, unknown, string][] = []
  const answer = <T>(path: string, body: unknown, token = ''): Promise<T> => {
    const of = path.replace('/authorizations/T', '')
    calls.push([of, body, token])
    const given = answers[of]
    const value = typeof given === 'function' ? (given as () => unknown)() : given
    return value instanceof Error ? Promise.reject(value) : Promise.resolve(value as T)
  }
  return {
    calls,
    open: <T>(_: 'GET' | 'POST', path: string, body?: unknown, token?: string) => answer<T>(path, body, token),
    openUpload: <T>(path: string, file: string, texts?: Record<string, string>, token?: string) => answer<T>(path, { file, ...texts }, token),
  }
}

function memory(value = '') {
  const kept = { value, read: () => kept.value, write: (v: string) => void (kept.value = v) }
  return kept
}

const legal = { company: '', agent: '', mobile: '138****0021', step: 'identity' as const, facts: [], document_label: '居民身份证', decline_reasons: [] }
const refusal = (status: number, code: string, kind: 'refused' | 'login' = 'refused') => new Failure(kind, '不行', { status, code })
const current = (a: Authorizing) => a.steps.find((s) => s.current)?.label

it('goes from the SMS to the receipt', async () => {
  const kept = memory()
  const letter = { title: '', paragraphs: [], scope: '', scopes: [], wait_seconds: 5, consent: '', mobile: '' }
  const s = server({ '/open': legal, '/phone': { token: 'P', step: 'identity' }, '/identity': { step: 'application' }, '/application': { facts: [{ label: '产品', value: '初购' }] }, '/letter': letter, '/sign/code': { wait_seconds: 60 }, '/sign': { step: 'done' } })
  let now = 0
  const a = new Authorizing('T', s, kept, () => now)
  await a.load()
  expect([a.step, current(a)]).toEqual(['welcome', undefined])
  await a.prove({ login: 'L', phone: 'C' })
  expect([a.step, current(a), kept.value]).toEqual(['identity', '核对本人', 'T P'])
  await a.identify(' 31002X ', '')
  expect((await a.application())[0].value).toBe('初购')
  await a.read('2027-02-26')
  expect([a.step, a.wait]).toEqual(['letter', 5])
  now = 4001
  expect(a.wait).toBe(1)
  now = 5000
  expect(a.wait).toBe(0)
  await a.askSign()
  await a.sign('data:', '123456')
  expect(a.steps.every((x) => x.done && !x.current)).toBe(true)
  expect(s.calls).toEqual([
    ['/open', undefined, ''],
    ['/phone', { login: 'L', phone: 'C' }, ''],
    ['/identity', { tail: '31002X' }, 'P'],
    ['/application', undefined, 'P'],
    ['/letter', { until: '2027-02-26' }, 'P'],
    ['/sign/code', undefined, 'P'],
    ['/sign', { until: '2027-02-26', read: true, agreed: true, signature: 'data:', code: '123456' }, 'P'],
  ])
})

it('shows his face where the carriers know another name', async () => {
  const kept = memory('T P')
  let said: unknown = refusal(422, 'face_unfinished')
  const s = server({ '/open': { ...legal, face: true }, '/face': { token: 'F', page: 'https://faceid.example/1' }, '/face/result': () => said })
  const a = new Authorizing('T', s, kept)
  await a.load()
  await a.startFace(' 31002X ')
  expect([a.facePage, kept.value]).toEqual(['https://faceid.example/1', 'T F'])
  await expect(a.faceResult()).rejects.toThrow('不行')
  expect([a.step, a.facePage]).toEqual(['identity', 'https://faceid.example/1'])
  said = refusal(422, 'face_refused')
  await expect(a.faceResult()).rejects.toThrow('不行')
  expect([a.step, a.facePage]).toEqual(['identity', ''])
  await a.startFace('31002X')
  a.leaveFace()
  expect(a.facePage).toBe('')
  await a.startFace('31002X')
  said = { step: 'application' }
  await a.faceResult()
  expect([a.step, a.facePage]).toEqual(['application', ''])
  expect(s.calls.filter(([of]) => of === '/face/result').every(([, , token]) => token === 'F')).toBe(true)
})

it('goes on where it was, but only with this authorisation', async () => {
  const a = new Authorizing('T', server({ '/open': { ...legal, step: 'application' } }), memory('T P'))
  await a.load()
  expect([a.step, a.pdf.token]).toEqual(['application', 'P'])
  const other = new Authorizing('T', server({ '/open': legal }), memory('U P'))
  await other.load()
  expect([other.step, other.pdf.token]).toEqual(['welcome', ''])
})

it('proves the mobile anew when half an hour has passed', async () => {
  const kept = memory('T P')
  const a = new Authorizing('T', server({ '/open': legal, '/identity': refusal(401, 'session_expired', 'login') }), kept)
  await a.load()
  await expect(a.identify('31002X', '')).rejects.toThrow('重新验证手机号')
  expect([a.step, kept.value]).toEqual(['phone', ''])
})

it('stays where it is when a number is not the one asked for', async () => {
  const a = new Authorizing('T', server({ '/open': legal, '/phone': refusal(422, 'legal_mobile_differs') }), memory())
  await a.load()
  a.go('phone')
  await expect(a.prove({ phone: 'C' })).rejects.toThrow('不行')
  expect(a.step).toBe('phone')
})

it('asks for a photo where no provider can tell', async () => {
  const s = server({ '/open': legal, '/identity': refusal(422, 'document_photo_required'), '/identity/photo': { step: 'application' } })
  const a = new Authorizing('T', s, memory('T P'))
  await a.load()
  await expect(a.identify('31002X', '')).rejects.toThrow('不行')
  expect([a.step, a.legal?.photographed]).toEqual(['identity', true])
  await a.identify('31002X', 'file')
  expect([a.step, s.calls[s.calls.length - 1]]).toEqual(['application', ['/identity/photo', { file: 'file', tail: '31002X' }, 'P']])
})

it.each([
  ['decline', (a: Authorizing) => a.decline('unknown'), 'authorization_declined'],
  ['return', (a: Authorizing) => a.giveBack(' 写错了 '), 'authorization_returned'],
  ['withdraw', (a: Authorizing) => a.withdraw(), 'authorization_withdrawn'],
])('tells what became of it (%s)', async (path, act, code) => {
  let over = false
  const s = server({ '/open': () => (over ? refusal(409, code) : legal), ['/' + path]: () => void (over = true) })
  const kept = memory('T P')
  const a = new Authorizing('T', s, kept)
  await a.load()
  await act(a)
  expect([a.step, a.ended, kept.value]).toEqual(['ended', '不行', ''])
})

it('says so when it has ended meanwhile, and where it goes on when it has moved', async () => {
  const a = new Authorizing('T', server({ '/open': legal, '/letter': refusal(409, 'authorization_link_replaced') }), memory('T P'))
  await a.load()
  await expect(a.read('')).rejects.toBeInstanceOf(Cancelled)
  expect([a.step, a.ended]).toEqual(['ended', '不行'])
  const b = new Authorizing('T', server({ '/open': { ...legal, step: 'done' }, '/sign': refusal(409, 'authorization_not_ready') }), memory('T P'))
  await expect(b.sign('data:', '123456')).rejects.toThrow('不行')
  expect(b.step).toBe('done')
})

it('does not take a broken line for an end', async () => {
  const a = new Authorizing('T', server({ '/open': new Failure('offline', '网络不通') }), memory())
  await expect(a.load()).rejects.toThrow('网络不通')
  expect(a.step).toBe('welcome')
})

it.each([
  [false, true, '123456', '请先在框内手写签名'],
  [true, false, '123456', '请勾选同意处理签名和证件信息'],
  [true, true, '12345', '请填写 6 位短信验证码'],
  [true, true, '123456', ''],
])('unsigned(%s, %s, %s)', (drawn, agreed, code, says) => expect(unsigned(drawn, agreed, code)).toBe(says))
