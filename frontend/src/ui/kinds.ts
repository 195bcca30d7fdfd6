/** The kinds of record, as the API names them. */
export const KINDS = ["order", "customer", "item", "inventory_level", "shipment", "invoice", "return", "payment", "refund", "purchase_order"];
