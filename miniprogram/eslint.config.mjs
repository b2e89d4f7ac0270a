import js from '@eslint/js'
import vue from 'eslint-plugin-vue'
import ts from 'typescript-eslint'

// What only one platform has stands behind src/platform; nobody else may name it.
const platformOnly = ['window', 'document', 'location', 'localStorage', 'sessionStorage', 'navigator', 'wx', 'fetch']

export default ts.config(
  { ignores: ['dist/**', 'h5/**', 'node_modules/**'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...vue.configs['flat/recommended'],
  {
    files: ['**/*.vue'],
    languageOptions: { parserOptions: { parser: ts.parser } },
  },
  {
    files: ['src/**'],
    languageOptions: { globals: { uni: 'readonly', getCurrentPages: 'readonly', setTimeout: 'readonly', clearTimeout: 'readonly', setInterval: 'readonly', clearInterval: 'readonly' } },
    rules: {
      'no-restricted-globals': ['error', ...platformOnly.map((name) => ({ name, message: 'use src/platform' }))],
      'no-restricted-properties': ['error', ...['showLoading', 'hideLoading'].map((property) => ({ object: 'uni', property, message: 'use src/lib/overlay.ts' }))],
      'no-restricted-syntax': ['error', { selector: 'CallExpression > MemberExpression.callee[property.name=/^(at|findLast|findLastIndex|hasOwn|toSorted|toReversed)$/]', message: 'iPhones before iOS 15.4 do not have it' }],
      'no-undef': 'off', // TypeScript knows better
      'vue/multi-word-component-names': 'off',
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/html-self-closing': 'off',
      'vue/first-attribute-linebreak': 'off',
      'vue/html-closing-bracket-newline': 'off',
    },
  },
  { files: ['src/lib/overlay.ts'], rules: { 'no-restricted-properties': 'off' } },
  { files: ['src/platform/h5.ts'], rules: { 'no-restricted-globals': 'off' } },
  { files: ['scripts/**', '*.mjs', '*.mts'], languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } } },
)
