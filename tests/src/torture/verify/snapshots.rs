//! Snapshots and what was restored of them: whole, or not there.

use serde_json::json;

use super::super::shelves::RESTORED;
use crate::client::Collection;
use crate::server::Server;

/// Every snapshot of the collection that is there is whole: the newest is restored, all are
/// removed.
pub(super) fn check(server: &Server, collection: &str, wrong: &mut Vec<String>) {
    let client = server.client();
    let shelf = format!("/collections/{collection}/snapshots");
    let answer = client.get(&shelf);
    if answer.status == 404 {
        return;
    }
    let listed = answer.expect(200).json();
    let snapshots = listed["snapshots"].as_array().cloned().unwrap_or_default();
    if let Some(newest) = snapshots.last() {
        let body = json!({ "snapshot": newest["id"], "collection": collection });
        let name = format!("{RESTORED}newest-{collection}");
        let restored = client.post(&format!("/collections/{name}/restore"), &body);
        if restored.status != 200 || restored.json()["documents"] != newest["documents"] {
            wrong.push(format!(
                "the snapshot {newest} is not restored: {restored:?}"
            ));
        } else {
            check_restored(&client.existing(&name), wrong);
            client.delete(&format!("/collections/{name}")).expect(204);
        }
    }
    for snapshot in &snapshots {
        let id = snapshot["id"].as_str().unwrap_or_default();
        client.delete(&format!("{shelf}/{id}")).expect(204);
    }
}

/// A restored collection, if it is there, is there whole.
pub(super) fn check_restored(collection: &Collection<'_>, wrong: &mut Vec<String>) {
    let (listed, summary) = (collection.list(500), collection.summary());
    if summary["documents"] != listed.len() {
        wrong.push(format!(
            "{}: {} documents are listed: {summary}",
            collection.name(),
            listed.len()
        ));
    }
    let checked = collection.check();
    if checked["agrees"] != true {
        wrong.push(format!("{}: {checked}", collection.name()));
    }
}
