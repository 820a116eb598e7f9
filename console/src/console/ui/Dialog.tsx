// A question that stops everything else: the browser's own dialog, which keeps the keyboard inside.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren; grave?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref} class={props.grave ? "dialog grave" : "dialog"} aria-labelledby="dialog-title"
      onCancel={(event) => { event.preventDefault(); props.onClose(); }}
    >
      <h2 id="dialog-title">{props.title}</h2>
      {props.children}
    </dialog>
  );
}
