// A component that is drawn again only when one of its properties is another one.
import { Component, h, type FunctionComponent } from "preact";

export function memo<P extends object>(inner: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before = this.props as Record<string, unknown>;
      const after = next as Record<string, unknown>;
      return Object.keys(after).some((key) => !Object.is(before[key], after[key]));
    }
    override render() {
      return h(inner, this.props as never);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
