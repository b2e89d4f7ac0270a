import plugin from '@dcloudio/vite-plugin-uni'
import { NodeTypes, type NodeTransform } from '@vue/compiler-core'
import { defineConfig, type Plugin } from 'vite'

// The plugin is CommonJS: what it exports by default arrives wrapped.
const uni = (plugin as unknown as { default?: typeof plugin }).default ?? plugin

/** Drops fonts and pictures of foreign hosts, which the framework brings along and we do not use. */
const nothingForeign: Plugin = {
  name: 'nothing-foreign',
  enforce: 'post',
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type === 'asset' && /\.(css|wxss)$/.test(file.fileName)) {
        file.source = file.source
          .toString()
          .replace(/@font-face\s*\{[^}]*at\.alicdn\.com[^}]*\}/g, '')
          .replace(/url\(["']?https?:[^)]*\)/g, 'none')
      }
    }
  },
}

/**
 * Says what is there to be tapped, once for all templates: a card and what opens a page is a
 * link, anything else a button. A row around a checkbox (.tick) is neither. WeChat reads
 * aria-role where the web reads role.
 */
const spoken: NodeTransform = (node) => {
  if (node.type !== NodeTypes.ELEMENT || !['view', 'text'].includes(node.tag)) {
    return
  }
  let named = false
  let classes = ''
  let tapped: string | undefined
  for (const p of node.props) {
    if (p.type === NodeTypes.ATTRIBUTE && p.name === 'class') {
      classes = p.value?.content ?? ''
    } else if (p.type === NodeTypes.ATTRIBUTE && p.name === 'role') {
      named = true
      p.name = roleAttribute
    } else if (p.type === NodeTypes.DIRECTIVE && p.arg?.type === NodeTypes.SIMPLE_EXPRESSION) {
      if (p.name === 'bind' && p.arg.content === 'role') {
        named = true
        p.arg.content = roleAttribute
      } else if (p.name === 'on' && p.arg.content === 'click') {
        tapped = p.exp?.loc.source ?? ''
      }
    }
  }
  if (named || tapped === undefined || !classes || /\btick\b/.test(classes)) {
    return
  }
  const content = /\bcard\b/.test(classes) || /^(open|replace|platform\.openWeb)\(/.test(tapped) ? 'link' : 'button'
  const loc = node.loc
  node.props.push({ type: NodeTypes.ATTRIBUTE, name: roleAttribute, nameLoc: loc, value: { type: NodeTypes.TEXT, content, loc }, loc })
}
const roleAttribute = process.env.UNI_PLATFORM === 'mp-weixin' ? 'aria-role' : 'role'

export default defineConfig({
  plugins: [uni({ vueOptions: { template: { compilerOptions: { nodeTransforms: [spoken] } } } }), nothingForeign],
  build: { sourcemap: false },
})
