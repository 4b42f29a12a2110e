// The user's documents: adding, removing, and whether each message looks something up in them.

import { BookOpen, CircleAlert, FileText, Plus, Trash2, X } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { text } from "../i18n";
import { addDocuments, comingDocuments, dismissComing, documents, encoder, loadDocuments, removeDocument, searching, setSearching } from "../state/documents";
import { loadModels } from "../state/models";
import { pulls, startPull } from "../state/pulls";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

/** A small encoder that suits every machine. */
const SUGGESTED = "sentence-transformers/all-MiniLM-L6-v2";

export function Documents() {
  const t = text.value;
  useEffect(() => void loadDocuments(), []);
  return (
    <Menu
      kind="dialog"
      label={t.documents}
      class="documents"
      button={(props) => <IconButton icon={BookOpen} label={t.documents} class={searching.value ? "on" : ""} {...props} />}
    >
      {() => <Panel />}
    </Menu>
  );
}

function Panel() {
  const t = text.value;
  useEffect(() => {
    void loadModels();
    void loadDocuments();
  }, []);
  return (
    <>
      <h2 class="menu-title">{t.documents}</h2>
      <p class="documents-note">{t.documentsNote}</p>
      {encoder.value ? <Searchable /> : <NoEncoder />}
    </>
  );
}

function NoEncoder() {
  const t = text.value;
  const coming = pulls.value.some((one) => one.name === SUGGESTED && one.state === "running");
  return (
    <div class="documents-none">
      <p>{t.documentsNeed}</p>
      <button type="button" class="button small" disabled={coming} onClick={() => void startPull(SUGGESTED)}>
        {coming ? t.isComing : t.getModel(SUGGESTED)}
      </button>
    </div>
  );
}

function Searchable() {
  const t = text.value;
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <label class="documents-switch">
        <input
          type="checkbox"
          checked={searching.value}
          disabled={documents.value.length === 0}
          onChange={(event) => setSearching(event.currentTarget.checked)}
        />
        {t.documentsSearch}
      </label>
      <ul class="documents-list">
        {comingDocuments.value.map((one) => (
          <li key={one.key} class={one.failure ? "failed" : ""}>
            {one.failure ? <Icon of={CircleAlert} size={16} /> : <span class="spinner" />}
            <span class="documents-name">
              {one.name}
              <span class="chip-facts" role={one.failure ? "alert" : undefined}>
                {one.failure ? [one.failure.message, one.failure.hint].filter(Boolean).join(" ") : t.documentsReading}
              </span>
            </span>
            {one.failure && <IconButton icon={X} size={14} label={t.dismiss} onClick={() => dismissComing(one.key)} />}
          </li>
        ))}
        {documents.value.map((one) => (
          <li key={one.id}>
            <Icon of={FileText} size={16} />
            <span class="documents-name">
              {one.name}
              <span class="chip-facts">{one.pages ? t.pages(one.pages) : t.characters(one.chars)}</span>
            </span>
            <IconButton icon={Trash2} size={15} label={t.documentsRemove(one.name)} onClick={() => void removeDocument(one.id)} />
          </li>
        ))}
      </ul>
      <button type="button" class="button small" onClick={() => input.current?.click()}>
        <Icon of={Plus} size={15} />
        {t.documentsAdd}
      </button>
      <input
        ref={input}
        type="file"
        multiple
        accept=".txt,.md,.markdown,.pdf,text/*,application/pdf"
        class="visually-hidden"
        tabIndex={-1}
        aria-hidden="true"
        onChange={(event) => {
          void addDocuments([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
    </>
  );
}
