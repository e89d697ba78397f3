//! AWS Budgets.

use serde::Serialize;

use super::{Expr, Resource, Tagging};

/// `AWS::Budgets::Budget` of a month.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Budget {
    budget: BudgetData,
    notifications_with_subscribers: Vec<Notified>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BudgetData {
    budget_name: String,
    budget_type: &'static str,
    time_unit: &'static str,
    budget_limit: Spend,
    filter_expression: Expression,
    metrics: [&'static str; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Spend {
    amount: u32,
    unit: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Expression {
    and: Vec<Tagged>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tagged {
    tags: TagValues,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagValues {
    key: &'static str,
    values: [String; 1],
    match_options: [&'static str; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Notified {
    notification: Notification,
    subscribers: [Subscriber; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    notification_type: &'static str,
    comparison_operator: &'static str,
    threshold: u32,
    threshold_type: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Subscriber {
    subscription_type: &'static str,
    address: Expr,
}

impl Budget {
    /// A budget of a month for what carries all of the tags (key, value): costs before discounts for what was used.
    pub fn monthly<const T: usize>(name: String, limit_usd: u32, tags: [(&'static str, String); T]) -> Self {
        const { assert!(T > 1, "`And` takes two expressions or more") };
        let tagged = |(key, value)| Tagged { tags: TagValues { key, values: [value], match_options: ["EQUALS"] } };
        Budget {
            budget: BudgetData {
                budget_name: name,
                budget_type: "COST",
                time_unit: "MONTHLY",
                budget_limit: Spend { amount: limit_usd, unit: "USD" },
                filter_expression: Expression { and: tags.into_iter().map(tagged).collect() },
                metrics: ["UnblendedCost"],
            },
            notifications_with_subscribers: Vec::new(),
        }
    }

    /// This budget, telling a topic once what was spent passes a share of the limit.
    #[must_use]
    pub fn tells_of_spent(self, percent: u32, topic_arn: Expr) -> Self {
        self.tells("ACTUAL", percent, topic_arn)
    }

    /// This budget, telling a topic once what will be spent is forecast to pass a share of the limit.
    #[must_use]
    pub fn tells_of_forecast(self, percent: u32, topic_arn: Expr) -> Self {
        self.tells("FORECASTED", percent, topic_arn)
    }

    fn tells(mut self, notification_type: &'static str, threshold: u32, address: Expr) -> Self {
        self.notifications_with_subscribers.push(Notified {
            notification: Notification {
                notification_type,
                comparison_operator: "GREATER_THAN",
                threshold,
                threshold_type: "PERCENTAGE",
            },
            subscribers: [Subscriber { subscription_type: "SNS", address }],
        });
        self
    }
}

impl Resource for Budget {
    const TYPE: &'static str = "AWS::Budgets::Budget";
    const TAGS: Tagging = Tagging::ListIn("ResourceTags");
}
