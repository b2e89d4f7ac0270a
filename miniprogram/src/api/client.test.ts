import { describe, expect, it } from 'vitest'

import { type Answer, Client, Failure, NeedsPhone, type Transport } from './client'

/** A server that knows some tokens, and what it was asked. */
function server(known: string[], login: () => Answer) {
  const asked: string[] = []
  const transport: Transport = {
    send: async (method, path, token) => {
      asked.push(`${method} ${path} ${token}`)
      if (path === '/login') {
        return login()
      }
      return known.includes(token) ? { status: 200, body: { ok: true } } : { status: 401, body: { code: 'session_gone', detail: '请重新登录' } }
    },
    upload: async (path, token) => ({ status: known.includes(token) ? 200 : 401, body: { path } }),
  }
  return { asked, transport }
}

function memory(token = '') {
  const store = { token, read: () => store.token, write: (t: string) => void (store.token = t) }
  return store
}

const failing = async (call: Promise<unknown>) => {
  try {
    await call
  } catch (e) {
    return e as Failure
  }
  throw new Error('did not fail')
}

describe('Client', () => {
  it('logs in before the first call and again when the token has run out', async () => {
    const known = ['t1']
    let n = 0
    const s = server(known, () => ({ status: 200, body: { token: `t${++n}` } }))
    const store = memory()
    const c = new Client(s.transport, store, async () => 'code')
    await c.get('/orders')
    known[0] = 't2'
    await c.get('/orders')
    expect(s.asked).toEqual(['POST /login ', 'GET /orders t1', 'GET /orders t1', 'POST /login ', 'GET /orders t2'])
    expect(store.token).toBe('t2')
  })

  it.each(['/orders/', '/orders//pay', '/orders/?status=draft'])('does not ask for %s, which misses an id', async (path) => {
    const s = server(['t1'], () => ({ status: 500, body: {} }))
    const failure = await failing(new Client(s.transport, memory('t1'), async () => 'code').get(path))
    expect(failure.message).toContain('链接不完整')
    expect(s.asked).toEqual([])
  })

  it('renews once for many calls', async () => {
    let logins = 0
    const s = server(['t1'], () => {
      logins++
      return { status: 200, body: { token: 't1' } }
    })
    const c = new Client(s.transport, memory('old'), async () => 'code')
    await Promise.all([c.get('/a'), c.post('/b'), c.upload('/c', 'file')])
    expect(logins).toBe(1)
  })

  it('asks a new user for a mobile', async () => {
    const s = server([], () => ({ status: 200, body: { bind: 'ticket' } }))
    const e = await failing(new Client(s.transport, memory(), async () => 'code').get('/orders'))
    expect(e).toBeInstanceOf(NeedsPhone)
    expect((e as NeedsPhone).bind).toBe('ticket')
  })

  it('does not try for ever', async () => {
    const s = server([], () => ({ status: 200, body: { token: 'useless' } }))
    const e = await failing(new Client(s.transport, memory(), async () => 'code').get('/orders'))
    expect(e.kind).toBe('login')
    expect(s.asked.length).toBe(4) // login, call, login, call
  })

  it.each([
    [{ status: 422, body: { code: 'picture_refused', detail: '图片超过 8M' } }, 'refused', '图片超过 8M'],
    [{ status: 409, body: { code: 'not_editable', detail: '不能修改' } }, 'refused', '不能修改'],
    [{ status: 503, body: { code: 'wechat_unavailable', detail: '微信服务暂时不可用' } }, 'broken', '微信服务暂时不可用'],
    [{ status: 502, body: '<html>' }, 'broken', '系统出了点问题，请稍后重试，或联系客服 400-666-3999'],
    [{ status: 422, body: { title: 'Unprocessable Entity', detail: 'validation failed' } }, 'broken', '系统出了点问题，请稍后重试，或联系客服 400-666-3999'],
  ])('says what is wrong: %j', async (answer, kind, message) => {
    const c = new Client({ send: async () => answer, upload: async () => answer }, memory('t'), async () => 'code')
    const e = await failing(c.get('/x'))
    expect([e.kind, e.message]).toEqual([kind, message])
  })

  it('says so when there is no network', async () => {
    const c = new Client({ send: () => Promise.reject(new Error('request:fail')), upload: () => Promise.reject(new Error()) }, memory('t'), async () => 'code')
    expect((await failing(c.get('/x'))).kind).toBe('offline')
    expect((await failing(c.upload('/x', 'f'))).kind).toBe('offline')
  })

  it('forgets the token at logout, whatever the server says', async () => {
    const store = memory('t')
    const c = new Client({ send: () => Promise.reject(new Error()), upload: () => Promise.reject(new Error()) }, store, async () => 'code')
    expect((await failing(c.logout())).kind).toBe('offline')
    expect(store.token).toBe('')
  })
})
