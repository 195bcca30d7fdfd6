use super::*;

#[test]
fn every_guide_can_be_read() {
    for set in Guide::sets() {
        let guide = Guide::find(set).unwrap().unwrap_or_else(|error| panic!("{set}: {error}"));
        assert_eq!(guide.set, set);
    }
    assert!(Guide::find("837").is_none());
}
