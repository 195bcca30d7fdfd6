// The little Markdown that connect guides are written in: headings, lists, paragraphs, bold, italics and code. It makes elements and never markup,
// and a guide's links are shown as text: a connector of a tenant's own could say anything.
type Block = { kind: "heading"; lines: string } | { kind: "text"; lines: string } | { kind: "list"; isOrdered: boolean; items: string[] };

export function Guide({ text }: { text: string }) {
  return (
    <div className="stack tight">
      {blocks(text).map((block, index) => {
        if (block.kind === "heading") return <h3 key={index}>{block.lines}</h3>;
        if (block.kind === "text") return <p key={index}>{spans(block.lines)}</p>;
        const List = block.isOrdered ? "ol" : "ul";
        return (
          <List key={index} className="stack tight" style={{ listStyle: block.isOrdered ? "decimal" : "disc", paddingInlineStart: 20 }}>
            {block.items.map((item, at) => (
              <li key={at}>{spans(item)}</li>
            ))}
          </List>
        );
      })}
    </div>
  );
}

export function blocks(text: string): Block[] {
  const found: Block[] = [];
  let isOpen = false;
  for (const line of text.split("\n")) {
    const heading = /^#{1,6}\s+(.*)$/.exec(line);
    const item = /^\s*(?:(\d+)\.|[-*])\s+(.*)$/.exec(line);
    const last = found.at(-1);
    if (line.trim() === "") isOpen = false;
    else if (heading) {
      found.push({ kind: "heading", lines: heading[1] ?? "" });
      isOpen = false;
    } else if (item) {
      if (last?.kind === "list" && last.isOrdered === (item[1] !== undefined)) last.items.push(item[2] ?? "");
      else found.push({ kind: "list", isOrdered: item[1] !== undefined, items: [item[2] ?? ""] });
      isOpen = true;
    } else if (isOpen && last?.kind === "list") last.items[last.items.length - 1] += ` ${line.trim()}`;
    else if (isOpen && last?.kind === "text") last.lines += ` ${line.trim()}`;
    else {
      found.push({ kind: "text", lines: line.trim() });
      isOpen = true;
    }
  }
  return found;
}

function spans(text: string): React.ReactNode[] {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/).map((part, index) => {
    if (/^`.+`$/.test(part)) return <code key={index}>{part.slice(1, -1)}</code>;
    if (/^\*\*.+\*\*$/.test(part)) return <strong key={index}>{part.slice(2, -2)}</strong>;
    if (/^\*.+\*$/.test(part)) return <em key={index}>{part.slice(1, -1)}</em>;
    return part.replace(/\[([^\]]+)\]\(([^)]+)\)/g, "$1 ($2)");
  });
}
