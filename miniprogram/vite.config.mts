import plugin from '@dcloudio/vite-plugin-uni'
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

export default defineConfig({
  plugins: [uni(), nothingForeign],
  build: { sourcemap: false },
})
