mod jinja;
mod literal;
mod moment;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("the expression {expression} cannot be computed: {why}")]
    Expression { expression: String, why: String },
}
