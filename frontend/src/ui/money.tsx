// Money is decimal digits from the API to the screen: it is grouped as text and never becomes a number, which would change large amounts.

/** 1234567.5 with EUR is "1,234,567.50 EUR" */
export function money(amount: string, currency: string | null): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(amount);
  if (!match) return currency ? `${amount} ${currency}` : amount;
  const [, sign = "", whole = "", fraction = ""] = match;
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const places = currency ? minorUnits(currency) : 0;
  // Digits beyond the currency's own stay: they are what the record says.
  const cents = fraction.padEnd(places, "0").replace(new RegExp(`^(\\d{${places}}\\d*?)0*$`), "$1");
  return `${sign}${grouped}${cents ? `.${cents}` : ""}${currency ? ` ${currency}` : ""}`;
}

function minorUnits(currency: string): number {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

export function Money({ sums }: { sums: readonly { amount: string; currency: string }[] }) {
  if (sums.length === 0) return <span className="muted">none</span>;
  return (
    <span className="num">
      {sums.map((sum) => (
        <span key={sum.currency} className="nowrap">
          {money(sum.amount, sum.currency)}
          <br />
        </span>
      ))}
    </span>
  );
}
