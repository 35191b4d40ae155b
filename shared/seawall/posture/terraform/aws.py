"""Amazon's container resources: from the aws provider's words to those of the APIs."""

from __future__ import annotations

from typing import Any, Final

from seawall.posture.objects import as_items, mappings, sequence
from seawall.posture.terraform.values import block, boolean, clean


def _eks(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    network, access = block(body, "vpc_config"), block(body, "access_config")
    encryption = [
        {"resources": sequence(item.get("resources")), "provider": {"keyArn": block(item, "provider").get("key_arn")}}
        for item in mappings(as_items(body.get("encryption_config")))
    ]
    upgrade = block(body, "upgrade_policy")
    return "AWS::EKS::Cluster", clean(
        {
            "name": body.get("name"),
            "version": body.get("version"),
            "resourcesVpcConfig": {
                "endpointPublicAccess": boolean(network.get("endpoint_public_access", True)),
                "endpointPrivateAccess": boolean(network.get("endpoint_private_access")),
                "publicAccessCidrs": network.get("public_access_cidrs"),
            },
            "encryptionConfig": encryption,
            "logging": {
                "clusterLogging": [{"enabled": True, "types": sequence(body.get("enabled_cluster_log_types"))}]
            },
            "accessConfig": {
                "authenticationMode": access.get("authentication_mode"),
                "bootstrapClusterCreatorAdminPermissions": boolean(
                    access.get("bootstrap_cluster_creator_admin_permissions")
                ),
            },
            "deletionProtection": boolean(body.get("deletion_protection")),
            "_planned": body.get("version") is None,
            "upgradePolicy": {"supportType": upgrade.get("support_type")} if upgrade else None,
        }
    )


def _eks_group(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    remote = block(body, "remote_access")
    shaped: dict[str, Any] = {
        "amiType": body.get("ami_type"),
        "nodegroupName": body.get("node_group_name"),
        "subnets": body.get("subnet_ids"),
    }
    if remote:
        shaped["remoteAccess"] = clean(
            {"ec2SshKey": remote.get("ec2_ssh_key"), "sourceSecurityGroups": remote.get("source_security_group_ids")}
        )
    return "AWS::EKS::Nodegroup", clean(shaped)


def _ecr(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    encryption, scanning = block(body, "encryption_configuration"), block(body, "image_scanning_configuration")
    return "AWS::ECR::Repository", clean(
        {
            "repositoryName": body.get("name"),
            "imageTagMutability": body.get("image_tag_mutability"),
            "imageScanningConfiguration": {"scanOnPush": boolean(scanning.get("scan_on_push"))},
            "encryptionConfiguration": {
                "encryptionType": encryption.get("encryption_type"),
                "kmsKey": encryption.get("kms_key"),
            },
        }
    )


def _launch_template(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    options = block(body, "metadata_options")
    return "AWS::EC2::LaunchTemplate", {
        "launchTemplateData": {
            "metadataOptions": clean(
                {
                    "httpTokens": options.get("http_tokens"),
                    "httpPutResponseHopLimit": options.get("http_put_response_hop_limit"),
                    "httpEndpoint": options.get("http_endpoint"),
                }
            )
        }
    }


def _addon(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "AWS::EKS::Addon", clean(
        {"addonName": body.get("addon_name"), "configurationValues": body.get("configuration_values")}
    )


def _scanning(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    rules = [
        {
            "scanFrequency": item.get("scan_frequency"),
            "repositoryFilters": [
                {"filter": entry.get("filter"), "filterType": entry.get("filter_type")}
                for entry in mappings(as_items(item.get("repository_filter")))
            ],
        }
        for item in mappings(as_items(body.get("rule")))
    ]
    return "AWS::ECR::RegistryScanningConfiguration", {
        "scanningConfiguration": clean({"scanType": body.get("scan_type"), "rules": rules})
    }


def _pull_through(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "AWS::ECR::PullThroughCacheRule", clean({"upstreamRegistryUrl": body.get("upstream_registry_url")})


def _fargate(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "AWS::EKS::FargateProfile", clean({"fargateProfileName": body.get("fargate_profile_name")})


CONVERTERS: Final = {
    "aws_eks_cluster": _eks,
    "aws_eks_node_group": _eks_group,
    "aws_eks_addon": _addon,
    "aws_eks_fargate_profile": _fargate,
    "aws_ecr_repository": _ecr,
    "aws_ecr_registry_scanning_configuration": _scanning,
    "aws_ecr_pull_through_cache_rule": _pull_through,
    "aws_launch_template": _launch_template,
}
