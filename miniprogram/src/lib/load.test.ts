import { expect, it } from 'vitest'

import { Failure } from '@/api/client'

import { faultsOf, useLoad } from './load'

/** Answers that come when the test says so. */
function slow() {
  const answers: ((value: string) => void)[] = []
  return { answers, fetch: () => new Promise<string>((resolve) => answers.push(resolve)) }
}

it('shows a slow answer though it is asked again meanwhile', async () => {
  const { answers, fetch } = slow()
  const page = useLoad(fetch)
  const first = page.load()
  await page.refresh()
  answers[0]('first')
  await first
  expect(page.state.value).toBe('first')
  const second = page.refresh()
  expect(page.state.value).toBe('first')
  answers[1]('second')
  await second
  expect(page.state).toMatchObject({ value: 'second', busy: false })
  expect(answers.length).toBe(2)
})

it('shows the latest of two answers, whichever comes first', async () => {
  const { answers, fetch } = slow()
  const page = useLoad(fetch)
  const both = [page.load(), page.load()]
  answers[1]('new')
  answers[0]('old')
  await Promise.all(both)
  expect(page.state.value).toBe('new')
})

it.each([
  ['a field', new Failure('refused', '不行', { status: 422, code: 'x', fields: [{ field: 'due', detail: '请填写' }] }), { due: '请填写' }],
  ['no field', new Failure('refused', '不行', { status: 409, code: 'x' }), undefined],
  ['no network', new Failure('offline', '网络不通'), undefined],
  ['a fault of ours', new TypeError(), undefined],
])('a refusal about %s is said where it belongs', (_, e, faults) => {
  expect(faultsOf(e)).toEqual(faults)
})
