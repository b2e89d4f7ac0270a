// Checks the output for WeChat: every page that is declared is there with its
// parts, every component a page uses exists, the main package is small enough to be
// uploaded, and nothing in it needs a browser.
//
//   node scripts/check.mjs [FOLDER]
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const folder = process.argv[2] ?? 'dist/build/mp-weixin'
const limit = 2 * 1024 * 1024
const faults = []

function files(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(join(dir, e.name)) : [join(dir, e.name)]))
}

const json = (path) => JSON.parse(readFileSync(path, 'utf8'))
const app = json(join(folder, 'app.json'))
const source = JSON.parse(readFileSync('src/pages.json', 'utf8'))

// Pages.
const declared = source.pages.map((p) => p.path)
for (const page of declared) {
  if (!app.pages.includes(page)) {
    faults.push(`page ${page} is not in app.json`)
  }
  for (const part of ['js', 'json', 'wxml']) {
    if (!existsSync(join(folder, `${page}.${part}`))) {
      faults.push(`page ${page} has no .${part}`)
    }
  }
}
if (app.pages.length === 0 || declared.length === 0) {
  faults.push('there are no pages')
}
for (const tab of app.tabBar.list) {
  for (const icon of [tab.iconPath, tab.selectedIconPath]) {
    if (!existsSync(join(folder, icon))) {
      faults.push(`icon ${icon} is missing`)
    }
  }
}

// Components.
const all = files(folder)
for (const path of all.filter((f) => f.endsWith('.json') && !f.endsWith('project.config.json'))) {
  for (const [name, target] of Object.entries(json(path).usingComponents ?? {})) {
    const base = target.startsWith('/') ? join(folder, target) : resolve(dirname(path), target)
    if (!existsSync(base + '.js')) {
      faults.push(`${relative(folder, path)} uses <${name}>, which is not there`)
    }
  }
}

// What a screen reader is told: WeChat reads aria-role only, and whatever is tapped has one.
let told = 0
for (const path of all.filter((f) => f.endsWith('.wxml') && !f.includes('wot-design'))) {
  for (const [element] of readFileSync(path, 'utf8').matchAll(/<(?:view|text)\b(?:"[^"]*"|[^>"])*>/g)) {
    told += element.includes(' aria-role=')
    if (/ role=/.test(element)) {
      faults.push(`${relative(folder, path)} has a role that WeChat does not read: ${element}`)
    } else if (/ bind:?tap=/.test(element) && /class="[^"]*\b(card|link|tab|entry)\b/.test(element) && !element.includes(' aria-role=')) {
      faults.push(`${relative(folder, path)} is tapped and does not say what it is: ${element}`)
    }
  }
}
if (told === 0) {
  faults.push('no element says what it is')
}

// Size.
const apart = (app.subPackages ?? []).map((p) => join(folder, p.root))
const size = all.filter((f) => !apart.some((root) => f.startsWith(root))).reduce((sum, f) => sum + statSync(f).size, 0)
if (size >= limit) {
  faults.push(`the main package has ${size} bytes, WeChat takes less than ${limit}`)
}

// What only a browser has. The framework asks whether there is a window; we do not.
const browser = /\b(window|document|localStorage|sessionStorage|XMLHttpRequest|navigator)\b|\blocation\.|\/playground\//
const used = /\b(document|localStorage|sessionStorage)\.|\bwindow\.(location|addEventListener|open)|\/playground\//
for (const path of all.filter((f) => f.endsWith('.js'))) {
  const framework = path.includes(join('common', 'vendor')) || path.includes('node-modules')
  const found = (framework ? used : browser).exec(readFileSync(path, 'utf8'))
  if (found) {
    faults.push(`${relative(folder, path)} needs a browser: ${found[0]}`)
  }
}

// Pictures that the code names, as that of what is passed on.
for (const path of all.filter((f) => f.endsWith('.js'))) {
  for (const [picture] of readFileSync(path, 'utf8').matchAll(/\/static\/[\w-]+\.(?:png|jpg)/g)) {
    if (!existsSync(join(folder, picture))) {
      faults.push(`${relative(folder, path)} shows ${picture}, which is not there`)
    }
  }
}

// Whatever the pages load comes from the package or from the product.
for (const path of all.filter((f) => /\.(wxss|wxml)$/.test(f))) {
  const found = /(?:https?:)?\/\/[a-z0-9.-]+\.[a-z]{2,}\//i.exec(readFileSync(path, 'utf8'))
  if (found) {
    faults.push(`${relative(folder, path)} loads something from ${found[0]}`)
  }
}

for (const f of faults) {
  console.error('check: ' + f)
}
if (faults.length > 0) {
  process.exit(1)
}
console.log(`check: ${declared.length} pages, ${size} bytes`)
