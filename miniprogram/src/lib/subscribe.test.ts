import { expect, it } from 'vitest'

import { Invitation, type Means, sentTo } from './subscribe'

const day = 24 * 3600 * 1000

/** A phone whose user answers so, and a server that names these templates. */
function phone(answer: string | Error, notices: Record<string, string> = { order_progress: 'P', staff_task: 'T' }) {
  const kept = new Map<string, number>()
  const asked: string[][] = []
  const reported: Record<string, string>[] = []
  const world = { now: 1_000, offline: false }
  const means: Means = {
    ask: (templates) => {
      asked.push(templates)
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ errMsg: 'requestSubscribeMessage:ok', ...(answer && { [templates[0]]: answer }) })
    },
    load: () => (world.offline ? Promise.reject(new Error('offline')) : Promise.resolve({ notices })),
    report: (answers) => {
      reported.push(answers)
      return world.offline ? Promise.reject(new Error('offline')) : Promise.resolve()
    },
    read: (key) => kept.get(key) ?? '',
    write: (key, until) => kept.set(key, until),
    now: () => world.now,
  }
  return { means, asked, reported, world }
}

it('asks for the one template when tapped, and reports nothing but the answer', async () => {
  const p = phone('accept')
  const card = new Invitation('staff_task', p.means)
  expect(await card.open()).toBe(true)
  expect(p.asked).toEqual([]) // a card first, no dialog
  const done = card.ask()
  expect(p.asked).toEqual([['T']]) // in the tap itself, before anything is awaited
  expect(await done).toBe(true)
  expect(p.reported).toEqual([{ T: 'accept' }])
  expect(await new Invitation('staff_task', p.means).open()).toBe(true) // one yes, one message
})

it('remembers "not now" for a week, each kind by itself', async () => {
  const p = phone('accept')
  new Invitation('order_progress', p.means).later()
  expect(await new Invitation('order_progress', p.means).open()).toBe(false)
  expect(await new Invitation('staff_task', p.means).open()).toBe(true)
  p.world.now += 7 * day
  expect(await new Invitation('order_progress', p.means).open()).toBe(true)
})

it.each(['reject', 'ban', 'filter'])('reports %s and asks no more for a month', async (answer) => {
  const p = phone(answer)
  const card = new Invitation('order_progress', p.means)
  await card.open()
  expect(await card.ask()).toBe(false)
  expect(p.reported).toEqual([{ P: answer }])
  p.world.now += 30 * day - 1
  expect(await card.open()).toBe(false)
  p.world.now += 1
  expect(await card.open()).toBe(true)
})

it.each([new Error('the main switch is off'), ''])('is quiet when WeChat says nothing (%s)', async (answer) => {
  const p = phone(answer)
  const card = new Invitation('order_progress', p.means)
  await card.open()
  expect(await card.ask()).toBe(false)
  expect(p.reported).toEqual([])
  expect(await card.open()).toBe(false)
})

it('never stands in the way without a network', async () => {
  const p = phone('accept')
  const card = new Invitation('order_progress', p.means)
  await card.open()
  p.world.offline = true
  expect(await card.ask()).toBe(false)
  expect(await new Invitation('staff_task', p.means).open()).toBe(false)
})

it('is not there without a template, or where there are no such messages', async () => {
  expect(await new Invitation('staff_task', phone('accept', { order_progress: 'P' }).means).open()).toBe(false)
  const browser = { ...phone('accept').means, ask: undefined }
  const card = new Invitation('order_progress', browser)
  expect(await card.open()).toBe(false)
  expect(await card.ask()).toBe(false)
})

it('tells the page of the order that it was sent', () => {
  expect(sentTo('/pages/order/index?id=1')).toBe('/pages/order/index?id=1&sent=yes')
  expect(sentTo('/pages/pay/index?id=1')).toBe('/pages/pay/index?id=1')
})
