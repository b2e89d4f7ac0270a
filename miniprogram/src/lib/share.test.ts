import { existsSync, readdirSync, readFileSync } from 'node:fs'

import { expect, it } from 'vitest'

import { shareOf } from './share'

it('says how far an order is, and leads home', () => {
  expect(shareOf('待审核')).toMatchObject({ title: '数字证书办理进度：待审核', path: '/pages/home/index' })
  expect(shareOf()).toMatchObject({ title: '云采盾 · 招投标数字证书办理', path: '/pages/home/index' })
})

it('has a picture of its own, 5 to 4 as WeChat shows it', () => {
  const png = readFileSync('src' + shareOf().imageUrl)
  expect(png.readUInt32BE(16) / png.readUInt32BE(20)).toBe(5 / 4)
})

it('is what every page that can be passed on says', () => {
  const pages = readdirSync('src/pages')
    .map((name) => `src/pages/${name}/index.vue`)
    .filter((path) => existsSync(path) && readFileSync(path, 'utf8').includes('onShareAppMessage('))
  expect(pages.length).toBeGreaterThan(0)
  for (const path of pages) {
    expect(readFileSync(path, 'utf8'), path).toMatch(/onShareAppMessage\(\(\) => shareOf\(/)
  }
})
