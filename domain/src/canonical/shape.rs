//! A shape says which fields a part of a canonical document has and what each holds. The shapes are written once, in `model.rs`; the check
//! of every record, the JSON Schemas and the GraphQL types are made of them.

use serde_json::{Map as Json, json};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    /// At most [`TEXT_CHARS_MAX`] characters.
    Text,
    /// At most [`LONG_CHARS_MAX`] characters: notes, descriptions.
    Long,
    /// At most [`NAME_CHARS_MAX`] characters: what people look for.
    Name,
    /// Text that names one thing: at most [`ID_BYTES_MAX`] bytes and no control character.
    Id,
    /// Money in the document's currency, as decimal text: 14 digits before the point and 6 after it.
    Amount,
    /// Decimal text that is never negative.
    Quantity,
    /// Decimal text; may be negative, as stock is that was sold before it came.
    Level,
    /// A fraction as decimal text: 0.0825 is 8.25 %.
    Rate,
    Flag,
    /// A whole number from 0 to 2,147,483,647.
    Count,
    /// RFC 3339.
    Time,
    /// `YYYY-MM-DD` (RFC 3339, full-date).
    Date,
    /// ISO 3166-1, two letters.
    Country,
    /// ISO 4217, three letters.
    Currency,
    /// UN/ECE Recommendation 20: `EA`, `KGM`, `MTR`.
    Unit,
    /// One of these.
    Word(&'static [&'static str]),
    /// A list of [`Is::Text`].
    Texts,
    Group(&'static Shape),
    List(&'static Shape),
    /// What the model has no word for, as the source has it.
    Any,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub doc: &'static str,
    pub is: Is,
    pub required: bool,
    /// It tells of a person: redacted for roles that need not know, and erased on demand.
    pub personal: bool,
}

/// A part of a document.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
}

pub const TEXT_CHARS_MAX: usize = 2_000;
pub const LONG_CHARS_MAX: usize = 64 * 1024;
// Both are part of index rows, which Postgres bounds.
pub const NAME_CHARS_MAX: usize = 200;
pub const ID_BYTES_MAX: usize = 200;
/// Entries of a list: the largest orders that shops take.
pub const LIST_MAX: usize = 5_000;

impl Shape {
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field at a path such as `lines[].sku`; `None` where the model has none. Whatever stands below `attributes` is there.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&'static Field> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let field = self.field(name.split('[').next().unwrap_or(name))?;
        match (rest, field.is) {
            (None, _) | (Some(_), Is::Any) => Some(field),
            (Some(rest), Is::Group(shape) | Is::List(shape)) => shape.at(rest),
            (Some(_), _) => None,
        }
    }

    /// JSON Schema, draft 2020-12; parts are under `$defs`.
    #[must_use]
    pub fn json_schema(&self) -> serde_json::Value {
        let mut parts = Json::new();
        let mut schema = self.object(&mut parts);
        let root = schema.as_object_mut().expect("an object was made");
        root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("title".into(), self.name.into());
        root.insert("$defs".into(), parts.into());
        schema
    }

    fn object(&self, parts: &mut Json<String, serde_json::Value>) -> serde_json::Value {
        let mut properties = Json::new();
        for field in self.fields {
            let mut schema = field.is.json_schema(parts);
            let said = schema.as_object_mut().expect("every field's schema is an object");
            said.insert("description".into(), field.doc.into());
            if field.personal {
                said.insert("x-personal".into(), true.into());
            }
            properties.insert(field.name.into(), schema);
        }
        let required: Vec<&str> = self.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        json!({
            "type": "object", "description": self.doc, "properties": properties, "required": required, "additionalProperties": false,
        })
    }

    fn reference(&self, parts: &mut Json<String, serde_json::Value>) -> String {
        if !parts.contains_key(self.name) {
            // A place first: a part may hold itself.
            parts.insert(self.name.into(), serde_json::Value::Null);
            let object = self.object(parts);
            parts.insert(self.name.into(), object);
        }
        format!("#/$defs/{}", self.name)
    }
}

impl Is {
    fn json_schema(self, parts: &mut Json<String, serde_json::Value>) -> serde_json::Value {
        // Null says that the field is known to be empty.
        match self {
            Self::Text => json!({"type": ["string", "null"], "maxLength": TEXT_CHARS_MAX}),
            Self::Long => json!({"type": ["string", "null"], "maxLength": LONG_CHARS_MAX}),
            Self::Name => json!({"type": ["string", "null"], "maxLength": NAME_CHARS_MAX}),
            Self::Id => json!({"type": ["string", "null"], "maxLength": ID_BYTES_MAX}),
            Self::Amount | Self::Level | Self::Rate => {
                json!({"type": ["string", "null"], "pattern": r"^-?[0-9]{1,14}(\.[0-9]{1,6}0*)?$"})
            }
            Self::Quantity => json!({"type": ["string", "null"], "pattern": r"^[0-9]{1,14}(\.[0-9]{1,6}0*)?$"}),
            Self::Flag => json!({"type": ["boolean", "null"]}),
            Self::Count => json!({"type": ["integer", "null"], "minimum": 0, "maximum": i32::MAX}),
            Self::Time => json!({"type": ["string", "null"], "format": "date-time"}),
            Self::Date => json!({"type": ["string", "null"], "format": "date"}),
            Self::Country => json!({"type": ["string", "null"], "pattern": "^[A-Z]{2}$"}),
            Self::Currency => json!({"type": ["string", "null"], "pattern": "^[A-Z]{3}$"}),
            Self::Unit => json!({"type": ["string", "null"], "pattern": "^[A-Z0-9]{2,3}$"}),
            Self::Word(words) => {
                let words: Vec<Option<&str>> = words.iter().copied().map(Some).chain([None]).collect();
                json!({"enum": words})
            }
            Self::Texts => {
                json!({"type": ["array", "null"], "items": {"type": "string", "maxLength": TEXT_CHARS_MAX}, "maxItems": LIST_MAX})
            }
            Self::Group(shape) => json!({"anyOf": [{"$ref": shape.reference(parts)}, {"type": "null"}]}),
            Self::List(shape) => {
                json!({"type": ["array", "null"], "items": {"$ref": shape.reference(parts)}, "maxItems": LIST_MAX})
            }
            Self::Any => json!({}),
        }
    }
}

/// Makes the shapes of the model's words: `canonical_model!(canonical_shapes)`.
macro_rules! canonical_shapes {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $is:ident $(($($of:tt)*))? $([$($flag:ident),*])?; )*
        }
    )*) => {
        $(
            $(#[doc = $doc])+
            #[expect(non_upper_case_globals, reason = "a shape is called what its type is called in the schemas")]
            pub static $name: $crate::canonical::shape::Shape = $crate::canonical::shape::Shape {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+).trim_ascii(),
                fields: &[$(
                    $crate::canonical::shape::Field {
                        name: stringify!($field),
                        doc: concat!($($field_doc, "\n"),+).trim_ascii(),
                        is: canonical_shapes!(@is $is $(($($of)*))?),
                        required: canonical_shapes!(@flag required $($($flag)*)?),
                        personal: canonical_shapes!(@flag personal $($($flag)*)?),
                    }
                ),*],
            };
        )*
    };
    (@is word($($word:literal),+)) => { $crate::canonical::shape::Is::Word(&[$($word),+]) };
    (@is group($shape:ident)) => { $crate::canonical::shape::Is::Group(&$shape) };
    (@is list($shape:ident)) => { $crate::canonical::shape::Is::List(&$shape) };
    (@is text) => { $crate::canonical::shape::Is::Text };
    (@is name) => { $crate::canonical::shape::Is::Name };
    (@is long) => { $crate::canonical::shape::Is::Long };
    (@is id) => { $crate::canonical::shape::Is::Id };
    (@is amount) => { $crate::canonical::shape::Is::Amount };
    (@is quantity) => { $crate::canonical::shape::Is::Quantity };
    (@is level) => { $crate::canonical::shape::Is::Level };
    (@is rate) => { $crate::canonical::shape::Is::Rate };
    (@is flag) => { $crate::canonical::shape::Is::Flag };
    (@is count) => { $crate::canonical::shape::Is::Count };
    (@is time) => { $crate::canonical::shape::Is::Time };
    (@is date) => { $crate::canonical::shape::Is::Date };
    (@is country) => { $crate::canonical::shape::Is::Country };
    (@is currency) => { $crate::canonical::shape::Is::Currency };
    (@is unit) => { $crate::canonical::shape::Is::Unit };
    (@is texts) => { $crate::canonical::shape::Is::Texts };
    (@is any) => { $crate::canonical::shape::Is::Any };
    (@flag required) => { false };
    (@flag personal) => { false };
    (@flag required required $($rest:ident)*) => { true };
    (@flag personal personal $($rest:ident)*) => { true };
    (@flag $wanted:ident $other:ident $($rest:ident)*) => { canonical_shapes!(@flag $wanted $($rest)*) };
}
pub(super) use canonical_shapes;
