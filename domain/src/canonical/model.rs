//! The canonical model, written once. `canonical_model!(m)` hands all of it to a macro: here one makes the shapes that records are checked
//! against and that the JSON Schemas are printed from; the API's makes the GraphQL types.
//!
//! Conventions. Absent: not known. Null: known to be empty. Amounts are decimals as text in the document's currency; quantities are decimals
//! as text; ids are text; times are RFC 3339 in UTC. What the model has no word for is kept in `attributes`, the source's own words in `raw_*`.
//!
//! The model grows by fields that need not be there, so that no stored record becomes wrong. `tests/canonical.rs` refuses every other change
//! without a new [`VERSION`](super::VERSION).

/// Hands the model to a macro. Each field: name, what it holds, and whether it is required or tells of a person.
#[macro_export]
macro_rules! canonical_model {
    ($with:ident) => {
        $with! {
            /// A postal address.
            Address {
                /// Its id at the source.
                source_id: id;
                /// What it is for.
                kind: word("billing", "shipping", "ship_from", "return", "legal", "other");
                /// The person.
                name: text [personal];
                /// The company.
                company: text;
                /// Street and number.
                line1: text [personal];
                /// Floor, door, building.
                line2: text [personal];
                /// A third line.
                line3: text [personal];
                /// Town.
                city: text;
                /// State or province, as the source says it.
                region: text;
                /// The part of ISO 3166-2 after the country: `CA` of `US-CA`.
                region_code: text;
                /// Postal code.
                postal_code: text;
                /// Country.
                country: country;
                /// The country as the source says it, where that is no code.
                country_name: text;
                /// Phone for the carrier.
                phone: text [personal];
                /// E-mail for the carrier.
                email: text [personal];
                /// True where people live there: carriers charge for it.
                is_residential: flag;
                /// True for the one that is used where none is named.
                is_default: flag;
            }

            /// Who buys or is billed.
            Party {
                /// Its id at the source.
                source_id: id;
                /// Full name.
                name: text [personal];
                /// Company.
                company: text;
                /// E-mail.
                email: text [personal];
                /// Phone.
                phone: text [personal];
                /// Numbers by which tax offices know it.
                tax_ids: list(TaxId);
            }

            /// A number by which a tax office knows somebody.
            TaxId {
                /// Which number it is.
                kind: word("vat", "ein", "gst", "abn", "eori", "ioss", "cnpj", "other");
                /// The source's own word for that.
                raw_kind: text;
                /// The number.
                value: text [required, personal];
                /// The country whose office gave it.
                country: country;
            }

            /// Another name of the same thing: a barcode, an id at a marketplace.
            ExternalCode {
                /// Which code it is: gtin, upc, ean, isbn, asin, mpn, or a system's own.
                kind: text [required];
                /// The code.
                value: text [required];
            }

            /// Points to another record, by whatever the source knows of it.
            Reference {
                /// Its id at the source.
                source_id: id;
                /// What people call it: `#1042`.
                number: text;
                /// Our key of it, where the source carries that.
                key: text;
                /// An id that it has in a third system.
                external_ref: text;
            }

            /// Points to an item.
            ItemReference {
                /// Its id at the source.
                source_id: id;
                /// Stock keeping unit.
                sku: text;
                /// What the source calls it.
                name: text;
            }

            /// A place that keeps stock.
            Location {
                /// Its id at the source.
                source_id: id;
                /// Short code.
                code: text;
                /// What people call it.
                name: text;
                /// What kind of place it is.
                kind: word("warehouse", "store", "3pl", "marketplace_fc", "in_transit", "virtual");
            }

            /// One tax of a line, of shipping or of the whole document.
            Tax {
                /// What the source calls it.
                title: text;
                /// The source's code of the rate.
                code: text;
                /// As a fraction: 0.0825 is 8.25 %.
                rate: rate;
                /// The amount.
                amount: amount;
                /// What it was computed on.
                taxable_amount: amount;
                /// Who hands it to the tax office.
                collected_by: word("seller", "marketplace", "carrier", "unknown");
            }

            /// A weight or a length.
            Measure {
                /// How much.
                value: quantity;
                /// In which unit.
                unit: unit;
            }

            /// A line of an order or an invoice.
            Line {
                /// Its id at the source.
                source_id: id;
                /// Stock keeping unit.
                sku: text;
                /// The item at the source.
                item: group(ItemReference);
                /// What the source calls it.
                title: text;
                /// Size, colour.
                variant: text;
                /// item, shipping, discount, gift_card, fee, subtotal and what else the source tells apart.
                kind: text;
                /// How many.
                quantity: quantity [required];
                /// Of what.
                unit: unit;
                /// Per unit and before discounts; with the tax where `taxes_included` says so.
                unit_price: amount [required];
                /// All discounts of the line, positive.
                discount_total: amount;
                /// All taxes of the line.
                tax_total: amount;
                /// The taxes one by one.
                taxes: list(Tax);
                /// The source's tax class or category.
                tax_code: text;
                /// False for what is not sent.
                requires_shipping: flag;
                /// From where it is to be sent.
                location: group(Location);
                /// The line of the order that an invoice's line bills.
                order_line_id: id;
                /// The bookkeeping account.
                account_code: text;
                /// Whatever else the source says of it.
                attributes: any;
            }

            /// A price for bringing the goods.
            ShippingLine {
                /// Its id at the source.
                source_id: id;
                /// What the buyer chose.
                title: text;
                /// The source's code of the service.
                code: text;
                /// Before discounts.
                amount: amount;
                /// All discounts of it, positive.
                discount_total: amount;
                /// Its taxes.
                taxes: list(Tax);
            }

            /// A discount or a charge of the whole document.
            Adjustment {
                /// What it is.
                kind: word("discount", "fee", "other");
                /// What the source calls it.
                title: text;
                /// A discount is negative.
                amount: amount [required];
            }

            /// What was paid, as an order tells it; not part of the total.
            PaymentSummary {
                /// Its id at the source.
                source_id: id;
                /// How it was paid.
                kind: word("card", "gift_card", "other");
                /// The amount.
                amount: amount;
                /// The method or gateway, as the source says it.
                method: text;
                /// When.
                at: time;
            }

            /// What was given back, as an order tells it; not part of the total.
            RefundSummary {
                /// Its id at the source.
                source_id: id;
                /// When.
                at: time;
                /// The amount.
                amount: amount;
                /// Why.
                note: long;
            }

            /// The sums of a document.
            Totals {
                /// The lines before discounts.
                subtotal: amount;
                /// All discounts, positive.
                discount: amount;
                /// Shipping after discounts.
                shipping: amount;
                /// All taxes.
                tax: amount;
                /// Tip.
                tip: amount;
                /// Customs duties.
                duty: amount;
                /// Fees that are in no adjustment.
                fee: amount;
                /// What rounding the sum added.
                rounding: amount;
                /// What is to be paid.
                grand: amount [required];
                /// What was given back.
                refunded: amount;
                /// What was paid.
                paid: amount;
                /// What is still to be paid.
                due: amount;
            }

            /// When and how an invoice is to be paid.
            PaymentTerms {
                /// The source's code.
                code: text;
                /// Days until it is due.
                net_days: count;
                /// Discount for paying early, as a fraction.
                discount_rate: rate;
                /// Days in which that discount is given.
                discount_days: count;
            }

            /// An order. Its parts add up: the lines after discounts, shipping, adjustments, tip, duty, fee, rounding, and the tax where prices
            /// do not contain it, equal the grand total within one minor unit for each part.
            Order {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it: `#1042`.
                number: name;
                /// Where it stands.
                status: word("draft", "pending", "open", "on_hold", "completed", "cancelled", "failed", "unknown") [required];
                /// Where its payment stands.
                payment_status: word("pending", "authorized", "partially_paid", "paid", "partially_refunded", "refunded", "voided", "failed", "unknown");
                /// Where its goods stand.
                fulfillment_status: word("unfulfilled", "in_progress", "scheduled", "on_hold", "partially_fulfilled", "fulfilled", "returned", "unknown");
                /// The source's own word.
                raw_payment_status: text;
                /// The source's own word.
                raw_fulfillment_status: text;
                /// Of all its amounts.
                currency: currency [required];
                /// When the buyer placed it.
                placed_at: time;
                /// When the source last changed it.
                updated_at: time;
                /// When it was cancelled.
                cancelled_at: time;
                /// Why, in the source's words.
                cancel_reason: text;
                /// When it is to be sent at the latest.
                ship_by: time;
                /// When it is to arrive at the latest.
                deliver_by: time;
                /// The buyer's own number of it.
                po_number: text;
                /// What the buyer wrote.
                note: long;
                /// The source's tags.
                tags: texts;
                /// True for an order that nobody placed.
                test: flag;
                /// Where it was placed: web, pos, a marketplace.
                source_channel: text;
                /// Who bought.
                customer: group(Party);
                /// Where the invoice goes.
                billing_address: group(Address);
                /// Where the goods go.
                shipping_address: group(Address);
                /// What was bought.
                lines: list(Line);
                /// What bringing it costs.
                shipping_lines: list(ShippingLine);
                /// Discounts and charges of the whole order.
                adjustments: list(Adjustment);
                /// The order's own taxes, for information: those of the lines are in the lines.
                taxes: list(Tax);
                /// What was paid.
                payments: list(PaymentSummary);
                /// What was given back.
                refunds: list(RefundSummary);
                /// True where unit prices and shipping contain the tax.
                taxes_included: flag [required];
                /// The sums.
                totals: group(Totals) [required];
                /// Whatever else the source says.
                attributes: any;
            }

            /// Somebody who buys.
            Customer {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it there.
                number: name;
                /// Whether it is a person.
                customer_type: word("person", "company", "guest") [required];
                /// Whether it may buy.
                status: word("active", "inactive", "blocked", "merged", "unknown");
                /// Full name.
                name: text [personal];
                /// First name.
                given_name: text [personal];
                /// Last name.
                family_name: text [personal];
                /// Company.
                company_name: text;
                /// E-mail.
                email: text [personal];
                /// Phone.
                phone: text [personal];
                /// BCP 47.
                language: text;
                /// In which it buys.
                currency: currency;
                /// True where no tax is charged.
                tax_exempt: flag;
                /// The source's reason of the exemption.
                exemption_code: text;
                /// Numbers by which tax offices know it.
                tax_ids: list(TaxId);
                /// Its addresses.
                addresses: list(Address);
                /// How it pays.
                payment_terms: group(PaymentTerms);
                /// The most that it may owe.
                credit_limit: amount;
                /// The source's group or price list.
                customer_group: text;
                /// The company that it belongs to.
                parent: group(Reference);
                /// The source's tags.
                tags: texts;
                /// What our people wrote.
                note: long;
                /// When the source made it.
                created_at: time;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// An option of a variant.
            ItemOption {
                /// Size.
                name: text;
                /// XL.
                value: text;
                /// Where it stands among the options.
                position: count;
            }

            /// A price of an item.
            ItemPrice {
                /// What price it is.
                kind: word("list", "sale", "msrp", "cost", "map", "tier");
                /// The amount.
                amount: amount [required];
                /// Its currency.
                currency: currency;
                /// True where it contains the tax.
                tax_included: flag;
                /// From how many on.
                min_quantity: quantity;
                /// The source's price list.
                price_list: text;
                /// Where it holds.
                channel: text;
                /// From when on.
                valid_from: time;
                /// Until when.
                valid_to: time;
            }

            /// How many of one unit make another.
            UnitConversion {
                /// One of this,
                from: unit;
                /// is so many of that:
                to: unit;
                /// how many.
                factor: quantity;
            }

            /// A part of a bundle or a kit.
            ItemComponent {
                /// The part.
                item: group(ItemReference) [required];
                /// How many of it.
                quantity: quantity [required];
            }

            /// Where an item is offered.
            ChannelListing {
                /// The system.
                system: text;
                /// Its id there.
                listing_id: text;
                /// How it stands there.
                status: text;
                /// How many are offered there.
                quantity: level;
                /// Its address.
                url: text;
            }

            /// A product, or a variant of one.
            Item {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it there.
                number: name;
                /// What it is. A product is the parent of its variants.
                item_type: word("product", "variant", "simple", "bundle", "kit", "service", "digital", "gift_card", "shipping", "fee", "non_inventory") [required];
                /// Stock keeping unit; what is sold has one.
                sku: text;
                /// The product of a variant.
                parent: group(Reference);
                /// What it is called.
                name: text [required];
                /// Text or HTML, as the source has it.
                description: long;
                /// Brand.
                brand: text;
                /// Whether it is sold.
                status: word("active", "draft", "archived", "discontinued", "unknown");
                /// The source's own word.
                raw_status: text;
                /// What sets a variant apart.
                options: list(ItemOption);
                /// Barcodes and ids elsewhere.
                external_ids: list(ExternalCode);
                /// From the widest category to the closest.
                category_path: texts;
                /// The source's tax class.
                tax_class: text;
                /// Harmonised System code.
                hs_code: text;
                /// Country of origin.
                country_of_origin: country;
                /// The unit of stock.
                unit: unit;
                /// The unit as the source says it, where that is no code.
                raw_unit: text;
                /// The unit it is sold in.
                sales_unit: unit;
                /// The unit it is bought in.
                purchase_unit: unit;
                /// Other units of it.
                unit_conversions: list(UnitConversion);
                /// Weight.
                weight: group(Measure);
                /// Length.
                length: group(Measure);
                /// Width.
                width: group(Measure);
                /// Height.
                height: group(Measure);
                /// True where stock of it is kept.
                is_stocked: flag;
                /// False for what is not sent.
                requires_shipping: flag;
                /// Its prices.
                prices: list(ItemPrice);
                /// What a bundle or a kit is made of.
                components: list(ItemComponent);
                /// Where it is offered.
                channel_listings: list(ChannelListing);
                /// Who sells it to us.
                vendor: text;
                /// The source's tags.
                tags: texts;
                /// When the source made it.
                created_at: time;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// What a place knows of how much of an item it has. What is absent is not known; it is never taken for nothing.
            Quantities {
                /// All that is there.
                on_hand: level;
                /// What may be sold.
                available: level;
                /// What is promised to orders.
                committed: level;
                /// What was ordered and is to come.
                incoming: level;
                /// What is on the way between places.
                in_transit: level;
                /// What cannot be sold.
                damaged: level;
                /// What is kept back.
                safety_stock: level;
                /// What was sold and is not there.
                backordered: level;
                /// Below this, more is to be ordered.
                reorder_point: level;
            }

            /// How much of an item is at a place.
            InventoryLevel {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it there.
                number: name;
                /// The item.
                item: group(ItemReference) [required];
                /// The place.
                location: group(Location);
                /// The numbers.
                quantities: group(Quantities) [required];
                /// In which unit.
                unit: unit;
                /// The unit as the source says it, where that is no code.
                raw_unit: text;
                /// The numbers themselves, or what they changed by.
                basis: word("absolute", "delta");
                /// Of when they are: the later ones hold.
                as_of: time;
                /// Lot.
                lot: text;
                /// When the lot expires.
                expiry_date: date;
                /// True where more may be sold than is there.
                allow_backorder: flag;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// Who carries it, and how.
            Carrier {
                /// Our code: usps, ups, fedex, dhl_express.
                code: text;
                /// The source's own word.
                raw: text;
                /// The service.
                service_code: text;
                /// What people call the service.
                service_name: text;
            }

            /// A parcel or a pallet.
            Package {
                /// Its id at the source.
                package_id: text;
                /// The carrier's number.
                tracking_number: text;
                /// Where to follow it.
                tracking_url: text;
                /// Serial Shipping Container Code.
                sscc: text;
                /// Box, pallet; UN/ECE Recommendation 21 where the source has codes.
                kind: text;
                /// What stands on it.
                description: text;
                /// Weight.
                weight: group(Measure);
                /// What carrying it costs.
                cost: amount;
            }

            /// How many of a line are in a shipment.
            ShipmentLine {
                /// Its id at the source.
                source_id: id;
                /// The line of the order, by its id at the source of the order.
                order_line_id: id;
                /// The item.
                item: group(ItemReference);
                /// Stock keeping unit.
                sku: text;
                /// What it is called.
                title: text;
                /// How many are sent.
                quantity: quantity [required];
                /// Of what.
                unit: unit;
                /// How many were ordered.
                quantity_ordered: quantity;
                /// The line of the fulfilment request that this fulfils.
                fulfillment_request_line_id: id;
                /// Lot.
                lot: text;
            }

            /// Goods that were sent, or are to be.
            Shipment {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it.
                number: name;
                /// The order.
                order: group(Reference);
                /// The request that it fulfils, where the order's system asks for shipments by such.
                fulfillment_request: group(Reference);
                /// Where to.
                direction: word("outbound", "return", "transfer");
                /// Where it stands.
                status: word("requested", "accepted", "picking", "packed", "label_created", "shipped", "in_transit", "out_for_delivery", "delivered", "exception", "returned_to_sender", "cancelled", "unknown") [required];
                /// The source's own word.
                raw_status: text;
                /// When it was handed to the carrier.
                shipped_at: time;
                /// The day, where the source knows no more.
                ship_date: date;
                /// When it arrived.
                delivered_at: time;
                /// When it should arrive.
                estimated_delivery_at: time;
                /// From where.
                ship_from: group(Location);
                /// To whom.
                ship_to: group(Address);
                /// Who carries it.
                carrier: group(Carrier);
                /// Its parcels.
                packages: list(Package);
                /// What is in it.
                lines: list(ShipmentLine);
                /// What carrying it costs.
                cost: amount;
                /// Of its amounts.
                currency: currency;
                /// True where the source is to tell the buyer.
                notify_customer: flag;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// A part of a payment that paid an invoice.
            AppliedPayment {
                /// The payment's id at the source.
                source_id: id;
                /// How much of it.
                amount: amount;
                /// When.
                at: time;
            }

            /// An invoice or a credit note. Where it has lines, its parts add up as an order's do.
            Invoice {
                /// Its id at the source.
                source_id: id [required];
                /// What stands on it.
                number: name;
                /// What it is.
                kind: word("invoice", "credit_note", "proforma", "debit_note", "receipt") [required];
                /// Where it stands.
                status: word("draft", "open", "sent", "partially_paid", "paid", "overdue", "void", "written_off", "unknown") [required];
                /// The source's own word.
                raw_status: text;
                /// The date on it.
                issue_date: date;
                /// When it is to be paid.
                due_date: date;
                /// The order it bills.
                order: group(Reference);
                /// The invoice that a credit note takes back.
                original_invoice: group(Reference);
                /// Who is billed.
                customer: group(Party);
                /// Where it goes.
                bill_to: group(Address);
                /// Where the goods went.
                ship_to: group(Address);
                /// Of all its amounts.
                currency: currency [required];
                /// How many of the books' own currency one of its currency is.
                exchange_rate: quantity;
                /// True where unit prices contain the tax.
                taxes_included: flag;
                /// How it is to be paid.
                payment_terms: group(PaymentTerms);
                /// What it bills.
                lines: list(Line);
                /// What bringing it costs.
                shipping_lines: list(ShippingLine);
                /// Discounts and charges of the whole invoice.
                adjustments: list(Adjustment);
                /// The sums of each tax.
                taxes: list(Tax);
                /// The sums.
                totals: group(Totals) [required];
                /// What paid it.
                payments_applied: list(AppliedPayment);
                /// The buyer's own number.
                po_number: text;
                /// What is printed on it.
                note: long;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// How many of a line come back, and why.
            ReturnLine {
                /// Its id at the source.
                source_id: id;
                /// The line of the order, by its id at the source of the order.
                order_line_id: id;
                /// The item.
                item: group(ItemReference);
                /// Stock keeping unit.
                sku: text;
                /// What it is called.
                title: text;
                /// How many the buyer sends.
                quantity_requested: quantity [required];
                /// How many arrived.
                quantity_received: quantity;
                /// Why.
                reason: word("defective", "damaged", "wrong_item", "not_as_described", "unwanted", "too_small", "too_large", "late", "no_longer_needed", "fraud", "other", "unknown");
                /// The source's own word.
                raw_reason: text;
                /// How it arrived.
                condition: word("new", "opened", "used", "damaged", "unknown");
                /// What becomes of it.
                disposition: word("restock", "refurbish", "scrap", "return_to_vendor", "quarantine", "none");
                /// What is given back for it.
                refund_amount: amount;
            }

            /// Goods that come back.
            Return {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it.
                number: name;
                /// The order.
                order: group(Reference) [required];
                /// Where it stands.
                status: word("requested", "approved", "declined", "label_sent", "in_transit", "received", "inspected", "completed", "cancelled", "unknown") [required];
                /// The source's own word.
                raw_status: text;
                /// When the buyer asked.
                requested_at: time;
                /// When the goods arrived.
                received_at: time;
                /// When it was settled.
                closed_at: time;
                /// Who returns.
                customer: group(Party);
                /// Where the goods go.
                return_to: group(Location);
                /// What comes back.
                lines: list(ReturnLine);
                /// How it is settled.
                resolution: word("refund", "exchange", "store_credit", "replacement", "none");
                /// What is kept back.
                restocking_fee: amount;
                /// Of its amounts.
                currency: currency;
                /// The carrier's number of the way back.
                tracking_number: text;
                /// What was written.
                note: long;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// What a part of a payment is for.
            PaymentApplication {
                /// The order or invoice.
                to: group(Reference) [required];
                /// How much of it.
                amount: amount [required];
            }

            /// Money that came, or did not.
            Payment {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it.
                number: name;
                /// What happened.
                kind: word("authorization", "capture", "sale", "void", "payment_received", "chargeback", "adjustment") [required];
                /// Whether it did.
                status: word("pending", "succeeded", "failed", "cancelled", "unknown") [required];
                /// The source's own word.
                raw_status: text;
                /// The amount.
                amount: amount [required];
                /// What the gateway keeps.
                fee: amount;
                /// What is left.
                net: amount;
                /// Of its amounts.
                currency: currency [required];
                /// How it was paid.
                method: word("card", "bank_transfer", "wallet", "cash", "cheque", "bnpl", "gift_card", "store_credit", "marketplace", "terms", "other");
                /// Who moved the money.
                gateway: text;
                /// Their number of it.
                transaction_ref: text;
                /// Brand of the card. Its number is never kept.
                card_brand: text;
                /// The last four digits of the card.
                card_last4: text [personal];
                /// When.
                at: time;
                /// The order.
                order: group(Reference);
                /// What it paid.
                applied: list(PaymentApplication);
                /// Who paid.
                payer: group(Party);
                /// Why it failed, as the gateway says it.
                error: text;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// What is given back for a line.
            RefundLine {
                /// The line of the order, by its id at the source of the order.
                order_line_id: id;
                /// Stock keeping unit.
                sku: text;
                /// How many.
                quantity: quantity;
                /// How much, without tax.
                amount: amount;
                /// Its tax.
                tax_total: amount;
                /// What becomes of the goods.
                restock: word("restocked", "cancelled", "none", "unknown");
            }

            /// Money that is given back.
            Refund {
                /// Its id at the source.
                source_id: id [required];
                /// What people call it.
                number: name;
                /// The order.
                order: group(Reference);
                /// The goods that came back.
                return_of: group(Reference);
                /// The payment that it takes back.
                payment: group(Reference);
                /// Whether it was paid.
                status: word("pending", "succeeded", "failed", "cancelled", "unknown") [required];
                /// The amount.
                amount: amount [required];
                /// Of its amounts.
                currency: currency [required];
                /// When.
                at: time;
                /// Why.
                reason: text;
                /// What it is for.
                lines: list(RefundLine);
                /// Shipping that is given back.
                shipping_amount: amount;
                /// Where the money goes.
                destination: word("original", "store_credit", "other");
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }

            /// A line of a purchase order.
            PurchaseOrderLine {
                /// Its id at the source.
                source_id: id;
                /// The item.
                item: group(ItemReference);
                /// Stock keeping unit.
                sku: text;
                /// The vendor's own code of it.
                vendor_sku: text;
                /// What it is called.
                title: text;
                /// How many are ordered.
                quantity: quantity [required];
                /// How many came.
                quantity_received: quantity;
                /// Of what.
                unit: unit;
                /// Per unit.
                unit_cost: amount;
                /// Its taxes.
                taxes: list(Tax);
                /// When it is needed.
                need_by: date;
            }

            /// What we order from a vendor.
            PurchaseOrder {
                /// Its id at the source.
                source_id: id [required];
                /// What stands on it.
                number: name;
                /// Where it stands.
                status: word("draft", "submitted", "acknowledged", "partially_received", "received", "closed", "cancelled", "unknown") [required];
                /// The source's own word.
                raw_status: text;
                /// From whom.
                vendor: group(Party) [required];
                /// When it was ordered.
                ordered_at: time;
                /// When it should come.
                expected_date: date;
                /// Where to.
                ship_to: group(Address);
                /// The place that receives it.
                location: group(Location);
                /// Of all its amounts.
                currency: currency [required];
                /// What is ordered.
                lines: list(PurchaseOrderLine);
                /// The sums.
                totals: group(Totals);
                /// How it is paid.
                payment_terms: group(PaymentTerms);
                /// International Commercial Terms.
                incoterm: text;
                /// What the vendor said to it.
                acknowledgement: word("accepted", "accepted_with_changes", "rejected", "backordered");
                /// What was written.
                note: long;
                /// When the source last changed it.
                updated_at: time;
                /// Whatever else the source says.
                attributes: any;
            }
        }
    };
}

use super::shape::canonical_shapes;

canonical_model!(canonical_shapes);
