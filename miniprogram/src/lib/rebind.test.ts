import { expect, it } from 'vitest'

import { Failure } from '@/api/client'

import { Rebinding } from './rebind'

/** A server that answers so, by the end of the path. */
function server(answers: Record<string, unknown>) {
  const calls: [string, unknown][] = []
  return {
    calls,
    post<T>(path: string, body?: unknown): Promise<T> {
      calls.push([path, body])
      const answer = answers[path.replace('/certificates/0A/rebind', '')]
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as T)
    },
  }
}

const refusal = (code: string) => new Failure('refused', '不行', { status: 409, code })
const current = (r: Rebinding) => r.steps.find((s) => s.current)?.label

it('proves the bound mobile, then the new one', async () => {
  const s = server({ '/code': { wait_seconds: 60 }, '/prove': { proof: 'P' }, '/new/code': { wait_seconds: 60 } })
  const r = new Rebinding('0A', s)
  expect(current(r)).toBe('验证原手机号')
  expect((await r.askOld()).wait_seconds).toBe(60)
  await r.proveOld('111111')
  expect(current(r)).toBe('验证新手机号')
  await r.askNew(' 13900139000 ')
  await r.finish('13900139000 ', '222222')
  expect(r.step).toBe('done')
  expect(r.steps.every((x) => x.done && !x.current)).toBe(true)
  expect(s.calls).toEqual([
    ['/certificates/0A/rebind/code', undefined],
    ['/certificates/0A/rebind/prove', { code: '111111' }],
    ['/certificates/0A/rebind/new/code', { mobile: '13900139000', proof: 'P' }],
    ['/certificates/0A/rebind', { mobile: '13900139000', code: '222222', proof: 'P' }],
  ])
})

it('stays where it is when a code is wrong', async () => {
  const r = new Rebinding('0A', server({ '/prove': refusal('code_wrong') }))
  await expect(r.proveOld('000000')).rejects.toThrow('不行')
  expect(r.step).toBe('old')
  const second = new Rebinding('0A', server({ '/prove': { proof: 'P' }, '': refusal('code_wrong') }))
  await second.proveOld('111111')
  await expect(second.finish('13900139000', '000000')).rejects.toThrow('不行')
  expect(second.step).toBe('new')
})

it.each(['/new/code', ''])('begins anew when the proof has lapsed (%s)', async (path) => {
  const r = new Rebinding('0A', server({ '/prove': { proof: 'P' }, [path]: refusal('old_mobile_unproven') }))
  await r.proveOld('111111')
  await expect(path === '' ? r.finish('13900139000', '222222') : r.askNew('13900139000')).rejects.toThrow('不行')
  expect(r.step).toBe('old')
})
