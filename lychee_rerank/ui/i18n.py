"""Every sentence of the page, in Chinese and English."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.errors import LycheeError, PictureProblem, QueryError
from lychee_rerank.results import ImageScore

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
_MAX_NAMES = 5  # file names listed in one sentence
_MAX_TITLE = 24  # characters

_TEXTS: dict[str, tuple[str, str]] = {
    "own_name": ("中文", "English"),
    "comma": ("、", ", "),
    "semicolon": ("；", "; "),
    "dot": ("　·　", " · "),
    "aside": ("{text}（{aside}）", "{text} ({aside})"),
    "and_more": ("{names}……", "{names} …"),
    "app_name": ("Lychee Rerank", "Lychee Rerank"),
    "title": ("荔枝看图排序", "Lychee Rerank"),
    "tagline": (
        "写一句话，放进图片，按符合程度从高到低排序。图片只在本机处理。",
        "Describe what you want, add pictures, and see them ranked by how well they match. Nothing leaves this machine.",
    ),
    "query": ("想找什么样的图片？", "What should the pictures show?"),
    "query_hint": ("例如：海边的白色连衣裙，阳光", "For example: a white dress on the beach, sunny"),
    "start": ("开始排序", "Rank"),
    "stop": ("停止", "Stop"),
    "stopping": ("正在停止，等这一张打完分……", "Stopping after the current picture …"),
    "drop": ("图片", "Pictures"),
    "drop_button": ("选择图片", "Choose pictures"),
    "drop_hint": ("或拖入图片、整个文件夹\\A单个不超过 100 MB", "or drop pictures or a folder\\Aup to 100 MB each"),
    "folder": ("或本机文件夹（直接读取，不复制）", "Or a folder on this machine (read in place, not copied)"),
    "folder_hint": ("文件夹路径", "Path to the folder"),
    "folder_add": ("添加", "Add"),
    "folder_missing": ("没有这个文件夹：{path}", "There is no such folder: {path}"),
    "folder_empty": ("这个文件夹里没有图片：{path}", "There are no pictures in this folder: {path}"),
    "samples": ("用示例图片试试", "Try the samples"),
    "clear": ("全部清除", "Clear all"),
    "loaded": ("已放入 {count} 张图片，共 {size}：查看或移除", "{count} pictures, {size} in total: view or remove"),
    "reading": ("正在读取，还有 {count} 张……", "Reading, {count} to go …"),
    "duplicates": ("有 {count} 张内容重复，只保留一份：{names}", "Duplicates, kept once ({count}): {names}"),
    "unreadable": ("有 {count} 张无法读取，会排在最后：{names}", "Unreadable, will rank last ({count}): {names}"),
    "remove": ("移除", "Remove"),
    "still_reading": ("图片还在读取，请稍后再试。", "The pictures are still being read. Try again in a moment."),
    "no_pictures": ("请先放入图片，再开始排序。", "Add pictures first, then rank them."),
    "loading": ("正在载入模型……第一次需要一点时间。", "Loading the model … the first time takes a while."),
    "progress": ("已处理 {done} / 总 {total} 张", "{done} of {total} pictures"),
    "left": ("，约剩 {time}", ", about {time} left"),
    "explaining": ("排序已完成，正在补写理由：{done} / {total}", "Ranked. Writing the reasons: {done} of {total}"),
    "stopped": ("已停止：{done} / {total} 张有结果。", "Stopped: {done} of {total} pictures scored."),
    "finished": ("完成：{total} 张，用时 {time}。", "Done: {total} pictures in {time}."),
    "failed": ("排序中断：{reason}", "The ranking failed: {reason}"),
    "event": ("第{number}张 {name} → {score}", "#{number} {name} → {score}"),
    "event_note": ("第{number}张 {name}：{note}", "#{number} {name}: {note}"),
    "events": ("最近动态", "Latest results"),
    "rank_score": ("Rank {rank} | Score: {score}", "Rank {rank} | Score: {score}"),
    "output": ("模型输出", "Model output"),
    "no_score": ("模型未返回有效分数", "The model gave no valid score"),
    "no_number": ("未匹配到有效数字，返回默认值0.0", "No valid number found, so the default 0.0 is used"),
    "warning": ("预处理警告", "Preprocessing warning"),
    "tier_primary": ("主模式匹配成功", "Explicit score found"),
    "tier_fallback": ("备选模式：取文中的数字", "Fallback: a number found in the text"),
    "pattern": ("提取所用的模式：{rule}", "Pattern: {rule}"),
    "answer_yes_no": ("回答：{answer}　“是”的概率：{chance}", "Answer: {answer} (probability of yes: {chance})"),
    "seconds": ("用时 {seconds} 秒", "{seconds} s"),
    "unfinished": ("（理由还没有写完）", " (reason not finished yet)"),
    "read_typed": ("输入的描述", "As typed"),
    "read_query": ("规范化后的描述", "As the model reads it"),
    "read_units": ("语义单元", "Meaning units"),
    "read_prompt": ("完整提示词", "Full prompt"),
    "tab_grid": ("图片", "Pictures"),
    "tab_chart": ("分数图", "Scores"),
    "tab_export": ("导出", "Export"),
    "tab_history": ("记录与对照", "History"),
    "tab_prompt": ("提示词", "Prompt"),
    "large": ("查看大图", "View large"),
    "metadata": ("{width} × {height} 像素，{size}", "{width} × {height} pixels, {size}"),
    "filter_name": ("按文件名查找", "Find by file name"),
    "filter_score": ("最低分", "Minimum score"),
    "filter_top": ("只看前几名（0 为全部）", "Top ranks only (0 = all)"),
    "nothing_left": ("没有符合条件的图片。", "No pictures match these filters."),
    "no_scores_yet": ("还没有分数。", "No scores yet."),
    "chart_alt": ("{count} 张图片的分数，从高到低", "Scores of {count} pictures, best first"),
    "chart_hint": ("指向柱子可查看文件名和与前一名的差距。", "Point at a bar for its file and the gap before it."),
    "gap": ("与前一名的差距", "Gap to the one before"),
    "rank": ("名次", "Rank"),
    "score": ("分数", "Score"),
    "name": ("文件名", "File"),
    "csv": ("下载表格", "Save the ranking as CSV"),
    "csv_hint": ("CSV：名次、分数、文件名、模型输出，可用 Excel 打开。", "The whole table; opens in Excel."),
    "json": ("下载数据", "Save the ranking as JSON"),
    "json_hint": ("JSON：内容相同，供程序读取。", "The same data, for programs."),
    "zip": ("下载前 {count} 名的图片", "Save the best {count} pictures"),
    "zip_hint": ("ZIP：原图，按名次和分数命名。", "A ZIP of the original files, named by rank and score."),
    "zip_count": ("打包前几名", "How many pictures"),
    "history_title": ("{time}　{query}", "{time}  {query}"),
    "history_line": ("{done} 张，第一名 {score} {name}", "{done} pictures, best: {score} {name}"),
    "look_again": ("查看", "View"),
    "looking_at_this": ("正在查看", "Shown now"),
    "looking_back": ("正在回看：{title}", "Earlier ranking: {title}"),
    "to_newest": ("回到最新", "Back to latest"),
    "compare": ("与另一次排序对照", "Compare with another ranking"),
    "compare_needs_two": ("再排一次，就可以在这里对照两次的结果。", "Rank again to compare two rankings here."),
    "nothing": ("选一次排序", "Choose a ranking"),
    "change": ("名次变化", "Rank change"),
    "language": ("语言", "Language"),
    "model": ("模型", "Model"),
    "model_other": ("其他模型文件夹，或 vLLM 服务器网址", "Another checkpoint folder, or the URL of a vLLM server"),
    "model_other_hint": ("例如 http://192.168.1.5:8000", "For example http://192.168.1.5:8000"),
    "server_banner": ("图片会发送到这台服务器打分，不再只留在本机。", "Pictures will be sent to this server."),
    "model_in_use": ("正在使用：{name}", "In use: {name}"),
    "model_none": ("尚未载入", "Not loaded yet"),
    "model_broken": ("{name}：不完整（{problems}）", "{name}: incomplete ({problems})"),
    "source_demo": ("内置演示模型", "built-in demo"),
    "source_huggingface": ("Hugging Face 缓存", "Hugging Face cache"),
    "source_modelscope": ("ModelScope 缓存", "ModelScope cache"),
    "source_environment": ("环境变量 LYCHEE_MODEL", "LYCHEE_MODEL"),
    "source_server": ("服务器", "server"),
    "source_argument": ("指定的文件夹", "your folder"),
    "method": ("打分方式", "Method"),
    "method_auto": ("自动", "Automatic"),
    "method_generate": ("写出分数和理由", "Score and reason"),
    "method_yes_no": ("是/否概率（更快）", "Yes/no (faster)"),
    "method_fell_back": ("模型只会回答是/否，已改用是/否概率。", "Yes/no is used: this model writes no scores."),
    "instruction": ("任务说明（是/否概率使用）", "Instruction (for yes/no)"),
    "more_settings": ("更多设置", "More settings"),
    "reasons": ("排完后补写理由", "Write reasons afterwards"),
    "normalize": ("规范化描述", "Normalise the query"),
    "fit": ("图片取景", "Picture fit"),
    "fit_crop": ("居中裁剪", "Centre crop"),
    "fit_whole": ("整张图片", "Whole picture"),
    "reserve": ("显存预留（GiB）", "VRAM to keep free (GiB)"),
    "memory": ("内存", "Memory"),
    "memory_line": ("{device}：已用 {used}，峰值 {peak}，空闲 {free}", "{device}: {used} (peak {peak}), {free} free"),
    "device_map": ("模型所在设备", "Where the model runs"),
    "blocks_on": ("{device}：{blocks} / {all} 层", "{device}: {blocks} of {all} layers"),
    "whole_on": ("全部在 {device}", "All of it on {device}"),
    "partly_slow": ("一部分在内存或硬盘上运行，会慢很多", "Layers in CPU memory or on disk run much slower"),
    "demo_banner": (
        "当前是内置演示模型：只认识图标、颜色和背景，不认识照片。要给真实照片排序，请在下方下载正式权重。",
        "This is the built-in demo model: it knows pictograms, colours and backgrounds, not photographs. "
        "For real photos, download the real weights below.",
    ),
    "weights": ("下载正式权重", "Download the real weights"),
    "weights_size": (
        "vec-ai/lychee-rerank-mm，15.4 GiB；整个放进显卡约需 18 GiB 显存，不够时一部分在内存里运行，会慢很多。",
        "vec-ai/lychee-rerank-mm, 15.4 GiB. It fits on a GPU with about 18 GiB; with less it runs much slower.",
    ),
    "weights_from": ("下载来源", "Source"),
    "hub_huggingface": ("Hugging Face", "Hugging Face"),
    "hub_modelscope": ("ModelScope", "ModelScope"),
    "weights_mirror": ("镜像网址（可不填）", "Mirror URL (optional)"),
    "weights_start": ("开始下载", "Download"),
    "weights_asking": ("正在查询文件……", "Looking up the files …"),
    "weights_checking": ("正在校验……", "Verifying …"),
    "weights_done_of": ("{done} / {total}", "{done} of {total}"),
    "weights_speed": ("每秒 {size}", "{size}/s"),
    "weights_left": ("约剩 {time}", "about {time} left"),
    "weights_done": (
        "下载完成，已校验。模型选“自动”即可使用。",
        "Downloaded and verified: choose Automatic to use it.",
    ),
    "note_exif_rotated": ("EXIF旋转已校正", "rotated upright by EXIF"),
    "note_alpha_flattened": ("透明背景已填白", "transparency filled with white"),
    "note_first_frame": ("多帧文件，取第一帧", "several frames, first one used"),
    "note_cmyk_converted": ("CMYK已转为RGB", "CMYK converted to RGB"),
    "note_high_bit_depth_reduced": ("高位深已转为8位", "high bit depth reduced to 8 bits"),
    "problem_not_found": ("文件不存在", "file not found"),
    "problem_unreadable": ("文件无法读取（{detail}）", "the file cannot be read ({detail})"),
    "problem_empty": ("文件是空的（0字节）", "the file is empty (0 bytes)"),
    "problem_not_an_image": ("不是可识别的图片格式", "not a supported picture format"),
    "problem_truncated": ("图片已损坏或不完整", "damaged or incomplete"),
    "problem_too_many_bytes": ("文件超过大小上限（{limit}）", "the file is over the limit of {limit}"),
    "problem_too_many_pixels": ("像素数超过上限（{limit}）", "over the limit of {limit} pixels"),
    "problem_bad_dimensions": ("图片尺寸不合理", "its dimensions make no sense"),
    "problem_out_of_memory": ("内存不足，重试后仍失败", "not enough memory, even on a second try"),
    "problem_model_failed": ("模型处理失败（{detail}）", "the model failed ({detail})"),
    "query_empty": ("请先写一句话，说明想找什么样的图片。", "First describe what the pictures should show."),
    "query_punctuation_only": ("描述里只有标点，请写出想找的内容。", "That is only punctuation: add words."),
    "query_too_long": ("描述太长，请缩短到2000字以内。", "That is too long: keep it under 2,000 characters."),
    "duration_seconds": ("{seconds:.1f} 秒", "{seconds:.1f} s"),
    "duration_minutes": ("{minutes:.0f} 分钟", "{minutes:.0f} min"),
}

# The score parser's rules; one that is missing here keeps its English name.
_RULES_ZH = {
    "score at the start": "开头的得分",
    "total": "总分",
    "label and number": "评分标签加数字",
    "match and number": "匹配度加数字",
    "label in a sentence": "句中的评分",
    "verb and number": "英文打分动词加数字",
    "Chinese verb and number": "中文打分动词加数字",
    "number out of a scale": "分数/满分",
    "number and unit": "数字加“分”",
    "percentage of match": "匹配百分比",
    "number alone": "只有一个数字",
    "number at the start": "开头的数字",
    "number by itself": "单独的数字",
    "any number": "文中任意数字",
}


def t(language: Language, key: str, **facts: object) -> str:
    """The text `key` in the language, with its facts filled in."""
    return _TEXTS[key][LANGUAGES.index(language)].format(**facts)


def rank_line(language: Language, result: ImageScore) -> str:
    """Rank and score, with a dash for an image without a score."""
    return t(language, "rank_score", rank=result.rank, score="–" if result.problem else f"{result.score:.1f}")


def rule_name(language: Language, rule: str) -> str:
    """What a rule of the score parser is called."""
    return _RULES_ZH.get(rule, rule) if language == "zh" else rule


def problem_text(language: Language, problem: PictureProblem) -> str:
    """Why an image cannot be scored."""
    limit = problem.limit or 0
    limit_text = format_bytes(limit) if problem.code == "too_many_bytes" else f"{limit:,}"
    return t(language, f"problem_{problem.code}", detail=problem.detail, limit=limit_text)


def note_text(language: Language, code: str) -> str:
    """What was done to an image while opening it."""
    return t(language, f"note_{code}")


def error_text(language: Language, error: LycheeError) -> str:
    """An error in the person's language where there is a text for it, else in English."""
    return t(language, f"query_{error.code}") if isinstance(error, QueryError) else str(error)


def join_names(language: Language, names: Sequence[str]) -> str:
    """The first few names in one line."""
    joined = t(language, "comma").join(names[:_MAX_NAMES])
    return joined if len(names) <= _MAX_NAMES else t(language, "and_more", names=joined)


def shorten(text: str) -> str:
    """At most 24 characters, for titles."""
    return text if len(text) <= _MAX_TITLE else text[: _MAX_TITLE - 1] + "…"


def escape_markdown(text: str) -> str:
    """Text that may hold file names or a program's messages, with all of Markdown's special characters escaped."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]()<>#+-.!|~$:&" else char for char in text)


def format_duration(language: Language, seconds: float) -> str:
    """A time span, in seconds below a minute, else in whole minutes."""
    if seconds < 60:
        return t(language, "duration_seconds", seconds=seconds)
    return t(language, "duration_minutes", minutes=seconds / 60)
