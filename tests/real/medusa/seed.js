// Fills a fresh database with a shop that is unpleasant on purpose: three currencies, tax on top and tax within, rates that leave
// fractions of a cent, titles in six scripts, prices of 0.01 and 0.333, a variant without SKU and a SKU that no destination knows.
// `medusa exec ./seed.js` runs it; a second run prints new keys for the shop that is there and changes nothing else.
const { ContainerRegistrationKeys, Modules, ProductStatus } = require("@medusajs/framework/utils");
const flows = require("@medusajs/medusa/core-flows");

const RESULT_PREFIX = "CROSSDOCK_SEED ";
const TAX_PROVIDER = "tp_system";
const FULFILLMENT_PROVIDER = "manual_manual";
const PAYMENT_PROVIDER = "pp_system_default";

const REGIONS = [
  { name: "North America", currency_code: "usd", countries: ["us", "ca"], is_tax_inclusive: false },
  { name: "Europe", currency_code: "eur", countries: ["de", "fr"], is_tax_inclusive: true },
  { name: "日本", currency_code: "jpy", countries: ["jp"], is_tax_inclusive: false },
];

// Sales tax of a country, and of its provinces where there are any. A combinable rate comes on top of the country's and makes a second tax line.
const TAXES = [
  {
    country_code: "us",
    rate: 4.225,
    name: "Sales tax",
    provinces: [
      { province_code: "us-ny", rate: 8.875, name: "New York City sales tax" },
      { province_code: "us-il", rate: 10.25, name: "Chicago sales tax" },
      { province_code: "us-or", rate: 0, name: "No sales tax in Oregon" },
    ],
  },
  { country_code: "ca", rate: 5, name: "GST", provinces: [{ province_code: "ca-qc", rate: 9.975, name: "QST", is_combinable: true }] },
  { country_code: "de", rate: 19, name: "Mehrwertsteuer 19 %" },
  { country_code: "fr", rate: 20, name: "TVA 20 %" },
  { country_code: "jp", rate: 10, name: "消費税 10 %" },
];
const BOOK_RATE_DE = { rate: 7, name: "Mehrwertsteuer 7 %" };

// Prices in USD, EUR and JPY, in major units.
const PRODUCTS = [
  { title: "Merino socks 🧦", option: "Size", variants: [["S", "SOCK-MER-S", [19.99, 18.99, 2200]], ["M", "SOCK-MER-M", [19.99, 18.99, 2200]], ["L", "SOCK-MER-L", [21.49, 20.49, 2350]]] },
  { title: "Sticker", variants: [["One", "STICKER-1", [0.07, 0.06, 7]]] },
  { title: "Standing desk", option: "Width", variants: [["160 cm", "DESK-160", [1333.33, 1249, 133333]], ["180 cm", "DESK-180", [1499.99, 1399.95, 149999]]] },
  { title: "Felt hat", option: "Size", variants: [["S", "HAT-S", [24.95, 22.9, 2999]], ["XL", "HAT-XL", [27.95, 25.9, 3333]]] },
  { title: "قهوة عربية", option: "Weight", variants: [["250 g", "COFFEE-AR-250", [11.15, 10.35, 1251]], ["1 kg", "COFFEE-AR-1000", [39.87, 36.99, 4447]]] },
  { title: "ספר בישול", book: true, variants: [["One", "BOOK-HE-1", [34.9, 29.99, 3771]]] },
  { title: "抹茶 – Matcha", variants: [["30 g", "TEA-JP-30", [17.77, 16.66, 1999]]] },
  { title: "Straßenschuhe Größe 42 „Käthe“", variants: [["42", "SHOE-42", [89.9, 84.5, 9871]], ["43", "SHOE-43", [89.9, 84.5, 9871]]] },
  { title: "Mug 👩‍🚀", variants: [["One", "MUG-ASTRO", [14.37, 13.13, 1613]]] },
  { title: 'Cable 3 m, 1/4" <jack> & "plug" \\ adapter', variants: [["One", "CABLE-3M", [9.99, 8.99, 1101]]] },
  { title: "Screw M3", variants: [["One", "SCREW-M3", [0.01, 0.01, 1]]] },
  { title: "Copper wire, per metre", variants: [["One", "WIRE-CU-M", [0.333, 0.299, 41]]] },
  { title: "Gift wrapping", variants: [["One", null, [2.55, 2.35, 301]]] },
  { title: "Беспроводные наушники", variants: [["Black", "HEADSET-BK", [129.49, 119.99, 14753]]] },
];

const SHIPPING = [
  { code: "standard", name: "Standard", prices: [7.95, 4.99, 770] },
  { code: "express", name: "Express ⚡", prices: [24.49, 19.9, 2431] },
  { code: "pickup", name: "Free pick-up", prices: [0, 0, 0] },
];

const PROMOTIONS = [
  { code: "TENPERCENT", application_method: { type: "percentage", target_type: "items", allocation: "across", value: 10 } },
  { code: "FIVEOFFUSD", application_method: { type: "fixed", target_type: "order", value: 5, currency_code: "usd" } },
  { code: "FIVEOFFEUR", is_tax_inclusive: true, application_method: { type: "fixed", target_type: "order", value: 5, currency_code: "eur" } },
  { code: "FIVEHUNDREDOFFJPY", application_method: { type: "fixed", target_type: "order", value: 500, currency_code: "jpy" } },
  { code: "FREESHIP", application_method: { type: "percentage", target_type: "shipping_methods", allocation: "across", value: 100 } },
];

module.exports = { default: seed };

async function seed({ container }) {
  const query = container.resolve(ContainerRegistrationKeys.QUERY);
  const seeded = await all(query, "region", ["id"]);
  if (seeded.length === 0) await fill(container);
  await report(container, query);
}

async function fill(container) {
  const run = async (name, input) => (await flows[name](container).run({ input })).result;
  const link = container.resolve(ContainerRegistrationKeys.LINK);
  const query = container.resolve(ContainerRegistrationKeys.QUERY);

  const [channel] = await run("createSalesChannelsWorkflow", { salesChannelsData: [{ name: "Web shop" }] });
  const [store] = await all(query, "store", ["id"]);
  await run("updateStoresWorkflow", {
    selector: { id: store.id },
    update: {
      name: "Crossdock test shop",
      supported_currencies: [
        { currency_code: "usd", is_default: true },
        { currency_code: "eur", is_tax_inclusive: true },
        { currency_code: "jpy" },
      ],
      default_sales_channel_id: channel.id,
    },
  });
  await run("createRegionsWorkflow", {
    regions: REGIONS.map((region) => ({ ...region, payment_providers: [PAYMENT_PROVIDER] })),
  });

  const [location] = await run("createStockLocationsWorkflow", {
    locations: [{ name: "Warehouse", address: { address_1: "1 Dock Road", city: "Newark", country_code: "US", postal_code: "07102" } }],
  });
  await link.create({
    [Modules.STOCK_LOCATION]: { stock_location_id: location.id },
    [Modules.FULFILLMENT]: { fulfillment_provider_id: FULFILLMENT_PROVIDER },
  });
  await run("linkSalesChannelsToStockLocationWorkflow", { id: location.id, add: [channel.id] });
  const [profile] = await run("createShippingProfilesWorkflow", { data: [{ name: "Parcels", type: "default" }] });
  await createShipping(container, run, link, location, profile);

  const products = await run("createProductsWorkflow", { products: PRODUCTS.map((product) => newProduct(product, channel, profile)) });
  await createTaxes(run, products);
  await run("createPromotionsWorkflow", {
    promotionsData: PROMOTIONS.map((promotion) => ({ type: "standard", status: "active", is_automatic: false, ...promotion })),
  });
}

async function createShipping(container, run, link, location, profile) {
  const fulfillment = container.resolve(Modules.FULFILLMENT);
  const set = await fulfillment.createFulfillmentSets({
    name: "Parcels",
    type: "shipping",
    service_zones: REGIONS.map(({ name, countries }) => ({ name, geo_zones: countries.map((country_code) => ({ country_code, type: "country" })) })),
  });
  await link.create({
    [Modules.STOCK_LOCATION]: { stock_location_id: location.id },
    [Modules.FULFILLMENT]: { fulfillment_set_id: set.id },
  });
  await run(
    "createShippingOptionsWorkflow",
    REGIONS.flatMap(({ name, currency_code }, at) =>
      SHIPPING.map((option) => ({
        name: option.name,
        price_type: "flat",
        provider_id: FULFILLMENT_PROVIDER,
        service_zone_id: set.service_zones.find((zone) => zone.name === name).id,
        shipping_profile_id: profile.id,
        type: { label: option.name, description: option.name, code: option.code },
        prices: [{ currency_code, amount: option.prices[at] }],
        rules: [],
      })),
    ),
  );
}

function newProduct({ title, option = "Kind", variants }, channel, profile) {
  return {
    title,
    // Medusa makes the handle from the title, which leaves nothing of a title in Arabic.
    handle: (variants[0][1] ?? "gift-wrapping").toLowerCase(),
    status: ProductStatus.PUBLISHED,
    shipping_profile_id: profile.id,
    sales_channels: [{ id: channel.id }],
    options: [{ title: option, values: variants.map(([value]) => value) }],
    variants: variants.map(([value, sku, prices]) => ({
      title: value,
      ...(sku && { sku }),
      options: { [option]: value },
      // The stock never runs out, so that orders depend on the buyer's choices only.
      manage_inventory: false,
      prices: REGIONS.map(({ currency_code }, at) => ({ currency_code, amount: prices[at] })),
    })),
  };
}

async function createTaxes(run, products) {
  const made = await run(
    "createTaxRegionsWorkflow",
    TAXES.map(({ country_code, rate, name }) => ({ country_code, provider_id: TAX_PROVIDER, default_tax_rate: { rate, name, code: country_code } })),
  );
  const of = (country) => made.find(({ country_code }) => country_code === country);
  await run(
    "createTaxRegionsWorkflow",
    TAXES.flatMap(({ country_code, provinces = [] }) =>
      provinces.map(({ province_code, rate, name, is_combinable = false }) => ({
        country_code,
        province_code,
        parent_id: of(country_code).id,
        default_tax_rate: { rate, name, code: province_code, is_combinable },
      })),
    ),
  );
  const books = PRODUCTS.filter(({ book }) => book).map(({ title }) => products.find((product) => product.title === title));
  await run("createTaxRatesWorkflow", [
    { ...BOOK_RATE_DE, tax_region_id: of("de").id, code: "de-books", rules: books.map(({ id }) => ({ reference: "product", reference_id: id })) },
  ]);
}

async function report(container, query) {
  const run = async (name, input) => (await flows[name](container).run({ input })).result;
  const [channel] = await all(query, "sales_channel", ["id"], { name: "Web shop" });
  const keys = await run("createApiKeysWorkflow", {
    api_keys: [
      { title: "Web shop", type: "publishable", created_by: "" },
      { title: "Crossdock", type: "secret", created_by: "" },
    ],
  });
  const key = (type) => keys.find((key) => key.type === type);
  await run("linkSalesChannelsToApiKeyWorkflow", { id: key("publishable").id, add: [channel.id] });

  const regions = await all(query, "region", ["id", "name", "currency_code", "countries.iso_2"]);
  const variants = await all(query, "product_variant", ["id", "sku", "title", "product.title"]);
  const options = await all(query, "shipping_option", ["id", "name", "type.code", "service_zone.name"]);
  const [location] = await all(query, "stock_location", ["id"]);
  const result = {
    publishable_key: key("publishable").token,
    secret_key: key("secret").token,
    sales_channel_id: channel.id,
    location_id: location.id,
    regions: regions.map(({ id, name, currency_code, countries }) => ({
      id,
      currency_code,
      countries: countries.map(({ iso_2 }) => iso_2).sort(),
      shipping_options: Object.fromEntries(options.filter((option) => option.service_zone.name === name).map((option) => [option.type.code, option.id])),
    })),
    variants: variants.map(({ id, sku, product }) => ({ id, sku, title: product.title })).sort((a, b) => compare(a.sku ?? "", b.sku ?? "")),
    skus: variants.flatMap(({ sku }) => sku ?? []).sort(),
    unknown_skus: ["HAT-XL"],
    promotions: PROMOTIONS.map(({ code }) => code),
  };
  process.stdout.write(`${RESULT_PREFIX}${JSON.stringify(result)}\n`);
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function all(query, entity, fields, filters = {}) {
  return (await query.graph({ entity, fields, filters })).data;
}
