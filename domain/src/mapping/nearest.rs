//! The name that was probably meant.

/// The nearest of the known names, where it is near enough to be a slip of the hand.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let near = known.filter(|known| known.len() <= NAME_BYTES_MAX).map(|known| (strsim::osa_distance(name, known), known));
    near.min().filter(|(distance, known)| *distance <= 1 + known.len() / 4).map(|(_, known)| known)
}
