import { describe, expect, it } from 'vitest'

import type { Form } from '@/api/types'

import { Draft, firstFault, type Save } from './form'

function form(values: Record<string, string>, more: Partial<Form> = {}): Form {
  const field = (name: string) => ({ name, input: 'text' as const, label: name, value: values[name] ?? '', required: true, max: 100 })
  return {
    order: { id: '1', no: '', business: 'initial', product: '', company: '', status: 'draft', label: '', what: '', amount_fen: 0, within: '', quantity: 1, created_at: '' },
    verification: '基本信息认证',
    groups: [{ id: 'agent', label: '经办人', fields: [field('agent.name'), field('agent.mobile')] }],
    lines: [{ seal: '', label: '', quantity: 1, amount_fen: 0 }],
    terms: [],
    term: 1,
    max_keys: 20,
    complete: false,
    ...more,
  }
}

describe('Draft', () => {
  it('sends what was changed, once', async () => {
    const sent: Save[] = []
    const d = new Draft(form({}), async (body) => {
      sent.push(body)
      return form({ 'agent.name': '王小琪' })
    })
    d.type('agent.name', '王小琪')
    d.type('agent.mobile', '')
    await d.save()
    await d.save()
    expect(sent.map((s) => s.fields)).toEqual([{ 'agent.name': '王小琪' }, {}])
    expect(d.dirty).toBe(false)
  })

  it('keeps what was typed while it saved', async () => {
    let answer: (f: Form) => void = () => {}
    const d = new Draft(form({}), () => new Promise((resolve) => (answer = resolve)))
    d.type('agent.name', '王')
    const saving = d.save()
    await Promise.resolve()
    d.type('agent.name', '王小琪')
    answer(form({ 'agent.name': '王' }))
    await saving
    expect(d.field('agent.name')?.value).toBe('王小琪')
    expect(d.fields).toEqual({ 'agent.name': '王小琪' })
  })

  it('loses nothing when saving fails', async () => {
    let fail = true
    const sent: Save[] = []
    const d = new Draft(form({}), async (body) => {
      sent.push(body)
      if (fail) {
        throw new Error('offline')
      }
      return form({})
    })
    d.type('agent.name', '王小琪')
    d.term(2)
    await expect(d.save()).rejects.toThrow('offline')
    expect(d.dirty).toBe(true)
    fail = false
    await d.save(true)
    expect(sent[1]).toEqual({ fields: { 'agent.name': '王小琪' }, term: 2, check: true })
  })

  it('saves one at a time, in order', async () => {
    const answers: (() => void)[] = []
    const d = new Draft(form({}), () => new Promise((resolve) => answers.push(() => resolve(form({})))))
    d.type('agent.name', 'a')
    const first = d.save()
    const second = d.save()
    await new Promise((resolve) => setTimeout(resolve))
    expect(answers.length).toBe(1)
    answers[0]()
    await first
    await new Promise((resolve) => setTimeout(resolve))
    answers[1]()
    await second
  })

  it('sends every change of a rejected order each time', async () => {
    const sent: Save[] = []
    const d = new Draft(form({}, { fixing: true }), async (body) => {
      sent.push(body)
      return form({ 'agent.name': '王小琪' }, { fixing: true })
    })
    d.type('agent.name', '王小琪')
    await d.save()
    await d.save(true)
    expect(sent[1]).toEqual({ fields: { 'agent.name': '王小琪' }, check: true })
  })
})

it('finds the first fault', () => {
  const f = form({})
  expect(firstFault(f)).toBeUndefined()
  f.groups[0].fields[1].fault = '请填写手机号'
  expect(firstFault(f)?.name).toBe('agent.mobile')
})
