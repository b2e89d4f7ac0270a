import type { Field, Form, Line } from '@/api/types'

/** What is sent to save a form. */
export interface Save {
  fields?: Record<string, string>
  lines?: { seal: string; quantity: number }[]
  term?: number
  check?: boolean
}

/**
 * An application while it is filled in. It saves what was changed, one request at
 * a time, and takes over what the server says, except where somebody has typed on
 * meanwhile. A rejected order is only checked, so everything that was changed goes
 * along each time.
 */
export class Draft {
  form: Form
  private changed: Record<string, string> = {}
  private shape: Pick<Save, 'lines' | 'term'> = {}
  private queue: Promise<unknown> = Promise.resolve()

  constructor(
    form: Form,
    private readonly send: (body: Save) => Promise<Form>,
    private readonly drawn: (form: Form) => void = () => {},
  ) {
    this.form = form
  }

  /** What was changed and is not saved yet. */
  get fields(): Record<string, string> {
    return { ...this.changed }
  }

  get dirty(): boolean {
    return Object.keys(this.changed).length > 0 || Object.keys(this.shape).length > 0
  }

  field(name: string): Field | undefined {
    for (const group of this.form.groups) {
      const found = group.fields.find((f) => f.name === name)
      if (found) {
        return found
      }
    }
    return undefined
  }

  /** Keeps what was typed; save sends it. */
  type(name: string, value: string): void {
    const field = this.field(name)
    if (!field || field.value === value) {
      return
    }
    field.value = value
    this.changed[name] = value
  }

  lines(lines: Line[]): void {
    this.shape.lines = lines.map((l) => ({ seal: l.seal, quantity: l.quantity }))
  }

  term(years: number): void {
    this.shape.term = years
  }

  /** Saves; with check it also says everything that is missing. */
  save(check = false): Promise<Form> {
    const next = this.queue.then(() => this.saveNow(check))
    this.queue = next.catch(() => undefined)
    return next
  }

  private async saveNow(check: boolean): Promise<Form> {
    const fields = this.changed
    const shape = this.shape
    if (!this.form.fixing) {
      this.changed = {}
    } else {
      this.changed = { ...fields }
    }
    this.shape = {}
    try {
      const form = await this.send({ fields, ...shape, check })
      this.take(form)
      return form
    } catch (e) {
      this.changed = { ...fields, ...this.changed } // still to be saved
      this.shape = { ...shape, ...this.shape }
      throw e
    }
  }

  private take(form: Form): void {
    this.form = form
    for (const [name, value] of Object.entries(this.changed)) {
      const field = this.field(name)
      if (field && field.input !== 'image') {
        field.value = value
      }
    }
    this.drawn(form)
  }
}

/** The first field that a person has to look at. */
export function firstFault(form: Form): Field | undefined {
  for (const group of form.groups) {
    for (const field of group.fields) {
      if (field.fault) {
        return field
      }
    }
  }
  return undefined
}
